-- Tells the server where the cursor rests outside of insert mode, so that it can read ahead there.
local client = require('incipit.client')
local compat = require('incipit.compat')
local completion = require('incipit.completion')
local position = require('incipit.position')

local M = {}

local api = vim.api
-- A key held down moves the cursor often; where it passes by is of no interest.
local rest_ms = 40
local timer = nil

local function tell()
  local bufnr = api.nvim_get_current_buf()
  if not client.wants(bufnr) or not client.ready(bufnr) then return end
  local at = api.nvim_win_get_cursor(0)
  client.notify('incipit/didMoveCursor', {
    textDocument = { uri = vim.uri_from_bufnr(bufnr) },
    position = position.of(bufnr, at[1] - 1, at[2], client.encoding()),
  })
end

local function tell_soon()
  if not completion.enabled() or not client.wants(api.nvim_get_current_buf()) then return end
  timer = timer or compat.uv.new_timer()
  timer:start(rest_ms, 0, vim.schedule_wrap(tell))
end

function M.setup()
  api.nvim_create_autocmd({ 'CursorMoved', 'BufEnter' }, {
    group = api.nvim_create_augroup('incipit_cursor', { clear = true }), callback = tell_soon,
  })
end

return M
