-- Insert-mode keys that do their old work while nothing is suggested.
local completion = require('incipit.completion')

local M = {}

local api = vim.api

-- The global insert-mode mapping of a key, or nil. (maparg() loses what a Lua callback returns.)
local function mapping_of(lhs)
  local raw = api.nvim_replace_termcodes(lhs, true, true, true)
  for _, mapping in ipairs(api.nvim_get_keymap('i')) do
    if api.nvim_replace_termcodes(mapping.lhs, true, true, true) == raw then return mapping end
  end
end

-- A key that stands for what `lhs` did before.
local function keep_old_work(lhs)
  local fallback = '<Plug>(incipit-was-' .. lhs:gsub('[<>]', '') .. ')'
  local before = mapping_of(lhs)
  if before and before.desc ~= 'incipit' then
    api.nvim_set_keymap('i', fallback, before.rhs or '', {
      callback = before.callback,
      expr = before.expr == 1,
      noremap = before.noremap == 1,
      script = before.script == 1,
      silent = before.silent == 1,
    })
  elseif vim.fn.maparg(fallback, 'i') == '' then
    api.nvim_set_keymap('i', fallback, lhs, { noremap = true })
  end
  return fallback
end

local function map(lhs, name)
  local fallback = keep_old_work(lhs)
  local action_key = '<Plug>(incipit-do-' .. lhs:gsub('[<>]', '') .. ')'
  vim.keymap.set('i', action_key, function() completion.act(name) end, { silent = true })
  vim.keymap.set('i', lhs, function() return completion.press(name) and action_key or fallback end,
    { expr = true, remap = true, silent = true, desc = 'incipit' })
end

function M.setup(keys)
  for name, lhs in pairs(keys) do
    if lhs then map(lhs, name) end
  end
end

-- Keys of ours that now do something else: { name = lhs }, for :checkhealth.
function M.taken_by_others(keys)
  local taken = {}
  for name, lhs in pairs(keys) do
    local mapping = lhs and mapping_of(lhs)
    if lhs and (not mapping or mapping.desc ~= 'incipit') then taken[name] = lhs end
  end
  return taken
end

return M
