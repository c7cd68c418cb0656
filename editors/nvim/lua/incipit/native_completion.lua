-- Ghost text by Neovim itself (0.12, vim.lsp.inline_completion), which asks, draws and accepts. Here: the keys, parts of a
-- suggestion, and the pause when the server hangs, since Neovim would go on asking.
local client = require('incipit.client')
local suggestions = require('incipit.suggestion')

local M = {}

local api = vim.api
local method = 'textDocument/inlineCompletion'
local max_unanswered = 4
local namespace = api.nvim_create_namespace('nvim.lsp.inline_completion')  -- Neovim's own; for looking only

local state = { enabled = true, hanging = false }

-- Neovim asks a client in a buffer when both are enabled: a client is unless switched off, a buffer is not unless
-- switched on.
local function enable(enabled)
  local live = client.get()
  if live then vim.lsp.inline_completion.enable(enabled, { client_id = live.id }) end
end

-- Start and end of a vim.Range, 0-based, whose fields were named anew before 0.12 was out.
local function bounds(range)
  if range.start_row then return range.start_row, range.start_col, range.end_row, range.end_col end
  if range.start then return range.start.row, range.start.col, range.end_.row, range.end_.col end
  return range:to_extmark()
end

-- Inserts a part of an item at the cursor. What is left is suggested again by the server.
local function insert_part(item, portion)
  local bufnr = api.nvim_get_current_buf()
  local at = api.nvim_win_get_cursor(0)
  local row, col = at[1] - 1, at[2]
  local start_row, start_col, end_col = row, col, col
  if item.range then
    local end_row
    start_row, start_col, end_row, end_col = bounds(item.range)
    if end_row ~= row then return end
  end
  local text = type(item.insert_text) == 'table' and item.insert_text.value or item.insert_text
  text = text:gsub('\r\n?', '\n')
  local typed = table.concat(api.nvim_buf_get_text(bufnr, start_row, start_col, row, col, {}), '\n')
  if text:sub(1, #typed) ~= typed then return end
  local rest = text:sub(#typed + 1)
  local part = suggestions.portion_of(rest, portion)
  local replaced = part == rest and math.max(0, end_col - col) or 0
  suggestions.insert(bufnr, row, col, replaced, part)
end

function M.visible()
  return #api.nvim_buf_get_extmarks(0, namespace, 0, -1, { limit = 1 }) > 0
end

-- get() does its work after the key was handled, and tells at once whether there will be any.
local function get(on_accept) return vim.lsp.inline_completion.get({ on_accept = on_accept }) end

local presses = {
  accept = function() return get(nil) end,
  accept_word = function() return get(function(item) insert_part(item, 'word') end) end,
  accept_line = function() return get(function(item) insert_part(item, 'line') end) end,
  -- A handler that does nothing leaves the suggestion taken away.
  dismiss = function() return M.visible() and get(function() end) end,
  next = M.visible,
  previous = M.visible,
  trigger = function() return true end,
}

local actions = {
  next = function() vim.lsp.inline_completion.select({ count = 1 }) end,
  previous = function() vim.lsp.inline_completion.select({ count = -1 }) end,
  -- There is no function for it: Neovim asks when the cursor moves.
  trigger = function() api.nvim_exec_autocmds('CursorMovedI', { buffer = api.nvim_get_current_buf(), modeline = false }) end,
}

-- Whether a key of this name has something to do now; accepting and dismissing begin here.
function M.press(name) return presses[name]() end

function M.act(name)
  if actions[name] then actions[name]() end
end

function M.clear()
  if M.visible() then get(function() end) end
end

function M.set_enabled(enabled)
  state.enabled = enabled
  enable(enabled)
end

-- Neovim sends a question for each pause in typing and takes none back.
local function watch_for_hanging()
  local hangs = client.unanswered(method) >= max_unanswered
  if hangs == state.hanging then return end
  state.hanging = hangs
  if state.enabled then enable(not hangs) end
end

function M.setup()
  local group = api.nvim_create_augroup('incipit_ghost', { clear = true })
  client.on('attached', function(bufnr) vim.lsp.inline_completion.enable(true, { bufnr = bufnr }) end)
  client.on('initialized', function(live)
    state.hanging = false
    if not state.enabled then vim.lsp.inline_completion.enable(false, { client_id = live.id }) end
  end)
  require('incipit.compat').on_request_change(group, vim.schedule_wrap(watch_for_hanging))
end

return M
