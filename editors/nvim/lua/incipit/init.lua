-- incipit for Neovim 0.7 and newer: ghost text from the language model inside the incipit server,
-- explanations in a floating window. See :help incipit.
local config_module = require('incipit.config')
local client = require('incipit.client')
local ghost_text = require('incipit.ghost_text')
local explain = require('incipit.explain')
local float = require('incipit.float')

local M = {}

local api = vim.api
local config = nil

-- The global insert-mode mapping of a key, or nil. (maparg() loses what a Lua callback returns.)
local function mapping_of(lhs)
  local raw = api.nvim_replace_termcodes(lhs, true, true, true)
  for _, mapping in ipairs(api.nvim_get_keymap('i')) do
    if api.nvim_replace_termcodes(mapping.lhs, true, true, true) == raw then return mapping end
  end
end

-- Maps `lhs` in insert mode to `action`, and to what it did before while `applies` says no.
local function map_insert(lhs, applies, action)
  if not lhs then return end
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
  local action_key = '<Plug>(incipit-do-' .. lhs:gsub('[<>]', '') .. ')'
  vim.keymap.set('i', action_key, action, { silent = true })
  vim.keymap.set('i', lhs, function() return applies() and action_key or fallback end,
    { expr = true, remap = true, silent = true, desc = 'incipit' })
end

local function map_keys()
  local function visible() return ghost_text.visible() end
  map_insert(config.keys.accept, visible, function() ghost_text.accept('all') end)
  map_insert(config.keys.accept_word, visible, function() ghost_text.accept('word') end)
  map_insert(config.keys.accept_line, visible, function() ghost_text.accept('line') end)
  map_insert(config.keys.dismiss, visible, ghost_text.dismiss)
  map_insert(config.keys.trigger, function() return true end, ghost_text.trigger)
end

local function attach_if_wanted(bufnr)
  if api.nvim_buf_is_loaded(bufnr) and not config_module.why_left_alone(config, bufnr) then
    client.attach(bufnr)
  end
end

function M.setup(user)
  local complaints
  config, complaints = config_module.resolve(user)
  for _, complaint in ipairs(complaints) do
    vim.notify('incipit: ' .. complaint, vim.log.levels.WARN)
  end
  config_module.make_help_tags()
  client.setup(config)
  ghost_text.setup(config)
  map_keys()
  local group = api.nvim_create_augroup('incipit', { clear = true })
  api.nvim_create_autocmd({ 'FileType', 'BufFilePost' }, {
    group = group, callback = function(event) attach_if_wanted(event.buf) end,
  })
  api.nvim_create_autocmd('BufUnload', {
    group = group, callback = function(event) client.detach(event.buf) end,
  })
  for _, bufnr in ipairs(api.nvim_list_bufs()) do attach_if_wanted(bufnr) end
end

-- The configuration in force, or nil before setup().
function M.config() return config end

-- For own key mappings; each returns whether there was a suggestion.
function M.accept() return ghost_text.accept('all') end
function M.accept_word() return ghost_text.accept('word') end
function M.accept_line() return ghost_text.accept('line') end
function M.dismiss() return ghost_text.dismiss() end
function M.trigger() ghost_text.trigger() end
function M.visible() return ghost_text.visible() end

function M.explain(line1, line2, selected) explain.explain(line1, line2, selected) end
-- Each of `incipit.document`, `incipit.tests`, `incipit.fix`, `incipit.rewrite` for lines, 1-based.
function M.edit(command, line1, line2, instruction)
  require('incipit.edit').run(command, line1, line2, instruction)
end
function M.restart() client.restart() end

-- Switches suggestions off and on again; the server keeps running.
function M.toggle()
  ghost_text.set_enabled(not ghost_text.enabled())
  vim.notify('incipit: suggestions are ' .. (ghost_text.enabled() and 'on' or 'off'))
end

-- What people look for goes first, before the window ends.
local first_names = { 'state', 'message', 'loadFraction', 'lastCompletion', 'whyEmpty', 'items' }

-- What the server says about itself, as lines; nested tables become indented lines.
local function describe(value, indent, lines)
  local ranks = {}
  for rank, name in ipairs(first_names) do ranks[name] = rank end
  local names = vim.tbl_keys(value)
  table.sort(names, function(a, b)
    local rank_a, rank_b = ranks[a] or math.huge, ranks[b] or math.huge
    if rank_a ~= rank_b then return rank_a < rank_b end
    return tostring(a) < tostring(b)
  end)
  for _, name in ipairs(names) do
    local item = value[name]
    if type(item) == 'table' then
      lines[#lines + 1] = indent .. name .. ':'
      describe(item, indent .. '  ', lines)
    elseif type(item) == 'number' and item ~= math.floor(item) then
      lines[#lines + 1] = string.format('%s%s: %.1f', indent, name, item)
    else
      lines[#lines + 1] = indent .. name .. ': ' .. tostring(item)
    end
  end
  return lines
end

-- Shows the answer to incipit/status in a floating window.
function M.status()
  local cancel = client.request(api.nvim_get_current_buf(), 'incipit/status', vim.empty_dict(),
    function(err, result)
      local text = err and 'incipit: ' .. tostring(err.message)
        or table.concat(describe(result, '', {}), '\n')
      float.set_text(float.open(), text)
    end)
  if not cancel then
    local why = client.why_not_ready(api.nvim_get_current_buf())
    vim.notify('incipit: there is no status: ' .. why, vim.log.levels.WARN)
  end
end

return M
