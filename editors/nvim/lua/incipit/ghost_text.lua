-- Ghost text: asks for an inline completion after a pause in typing, draws it behind the cursor,
-- keeps it while the user types what it says, inserts it when accepted.
local client = require('incipit.client')
local position = require('incipit.position')

local M = {}

local api = vim.api
local namespace = api.nvim_create_namespace('incipit_ghost')
local has_inline = vim.fn.has('nvim-0.10') == 1

local trigger_invoked, trigger_automatic = 1, 2
local cursor_rest_ms = 40

local state = {
  config = nil,
  enabled = true,
  timer = nil,
  cursor_timer = nil,
  cancel = nil,   -- cancels the request in flight
  ticket = 0,     -- number of the newest request; older answers are ignored
  -- The suggestion on display or nil: { bufnr, start_mark, text, tail, replaced, command }.
  -- `text` replaces what stands between start_mark and the cursor and the first `replaced` bytes
  -- of `tail`, which is the rest of the line after the cursor.
  shown = nil,
}

local function stop_timer()
  if state.timer then state.timer:stop() end
end

local function cancel_request()
  state.ticket = state.ticket + 1
  if state.cancel then
    state.cancel()
    state.cancel = nil
  end
end

-- Takes the ghost text away; requests go on.
local function hide()
  local shown = state.shown
  state.shown = nil
  if shown and api.nvim_buf_is_valid(shown.bufnr) then
    api.nvim_buf_clear_namespace(shown.bufnr, namespace, 0, -1)
  end
end

-- Takes the ghost text away and forgets what was asked.
function M.clear()
  stop_timer()
  cancel_request()
  hide()
end

local function cursor()
  local at = api.nvim_win_get_cursor(0)
  return at[1] - 1, at[2]
end

local function in_insert_mode() return api.nvim_get_mode().mode:sub(1, 1) == 'i' end

local function popup_visible() return vim.fn.pumvisible() == 1 end

-- What is left to insert at the cursor, or nil when the buffer no longer agrees with the
-- suggestion.
local function remaining_text()
  local shown = state.shown
  if not shown or api.nvim_get_current_buf() ~= shown.bufnr then return nil end
  local row, col = cursor()
  local mark = api.nvim_buf_get_extmark_by_id(shown.bufnr, namespace, shown.start_mark, {})
  if not mark[1] or row < mark[1] or (row == mark[1] and col < mark[2]) then return nil end
  local line = api.nvim_buf_get_lines(shown.bufnr, row, row + 1, false)[1]
  if line == nil or line:sub(col + 1) ~= shown.tail then return nil end
  local typed = table.concat(
    api.nvim_buf_get_text(shown.bufnr, mark[1], mark[2], row, col, {}), '\n')
  if shown.text:sub(1, #typed) ~= typed then return nil end
  local rest = shown.text:sub(#typed + 1)
  if rest == '' or rest == shown.tail:sub(1, shown.replaced) then return nil end
  return rest, row, col
end

-- Virtual text draws a tab as one odd cell and control characters raw: spell both out.
local function printable(text, start_column)
  local out, column = {}, start_column
  for piece, tab in text:gsub('[%z\1-\8\11-\31\127]', '?'):gmatch('([^\t]*)(\t?)') do
    out[#out + 1] = piece
    column = column + vim.fn.strdisplaywidth(piece, column)
    if tab ~= '' then
      local width = vim.fn.strdisplaywidth('\t', column)
      out[#out + 1] = string.rep(' ', width)
      column = column + width
    end
  end
  return table.concat(out)
end

local function draw(rest, row, col)
  local shown = state.shown
  local lines = vim.split(rest, '\n', { plain = true })
  local tail = shown.tail:sub(shown.replaced + 1)
  local line = api.nvim_buf_get_lines(shown.bufnr, row, row + 1, false)[1]
  local column = vim.fn.strdisplaywidth(line:sub(1, col))
  local first = printable(lines[1], column)
  local chunks = { { first, 'IncipitGhost' } }
  local inline = has_inline and #lines == 1 and shown.replaced == 0
  if shown.tail ~= '' and not inline then
    -- Neovim before 0.10 can only draw over the rest of the line, so the rest is drawn again
    -- behind the ghost text, or behind its last line.
    local after = column + vim.fn.strdisplaywidth(first, column)
    if #lines == 1 then
      local again = printable(tail, after)
      chunks[#chunks + 1] = { again }
      after = after + vim.fn.strdisplaywidth(again, after)
    end
    local covers = column + vim.fn.strdisplaywidth(shown.tail, column)
    if covers > after then chunks[#chunks + 1] = { string.rep(' ', covers - after) } end
  end
  local below = {}
  for i = 2, #lines do
    local text = printable(lines[i], 0)
    below[#below + 1] = { { text, 'IncipitGhost' } }
    if i == #lines and tail ~= '' then
      table.insert(below[#below], { printable(tail, vim.fn.strdisplaywidth(text)) })
    end
  end
  shown.drawn_mark = api.nvim_buf_set_extmark(shown.bufnr, namespace, row, col, {
    id = shown.drawn_mark,
    virt_text = chunks,
    virt_text_pos = inline and 'inline' or 'overlay',
    virt_lines = #below > 0 and below or nil,
    hl_mode = 'combine',
    right_gravity = false,
  })
end

-- Redraws the suggestion after the buffer or the cursor changed. Returns whether it still stands.
local function refresh()
  if not state.shown then return false end
  local rest, row, col
  if in_insert_mode() and not popup_visible() then rest, row, col = remaining_text() end
  if not rest then
    hide()
    return false
  end
  draw(rest, row, col)
  return true
end

-- What to show from an answer to a request made at `asked`, or nil.
local function suggestion_from(item, asked)
  local text = item.insertText
  if type(text) == 'table' then text = text.value end  -- StringValue
  if type(text) ~= 'string' then return nil end
  text = text:gsub('\r\n?', '\n')
  local from, to = asked.col, asked.col
  if item.range then
    if item.range.start.line ~= asked.row or item.range['end'].line ~= asked.row then return nil end
    local encoding = client.encoding()
    from = position.to_byte(asked.line, item.range.start.character, encoding)
    to = position.to_byte(asked.line, item.range['end'].character, encoding)
    if from > asked.col or to < asked.col then return nil end
  end
  return {
    bufnr = asked.bufnr,
    from = from,
    text = text,
    tail = asked.line:sub(asked.col + 1),
    replaced = to - asked.col,
    command = item.command,
  }
end

local function show(suggestion, row)
  hide()
  local line = api.nvim_buf_get_lines(suggestion.bufnr, row, row + 1, false)[1]
  if line == nil or suggestion.from > #line then return end
  suggestion.start_mark = api.nvim_buf_set_extmark(suggestion.bufnr, namespace, row,
    suggestion.from, { right_gravity = false })
  state.shown = suggestion
  refresh()
end

local function on_answer(asked, err, result)
  state.cancel = nil
  if err or type(result) ~= 'table' then return end
  if not api.nvim_buf_is_loaded(asked.bufnr) or not in_insert_mode() then return end
  local items = result.items or result
  local suggestion = items[1] and suggestion_from(items[1], asked)
  if suggestion then show(suggestion, asked.row) end
end

-- Asks the server for a suggestion at the cursor.
local function ask(trigger)
  local bufnr = api.nvim_get_current_buf()
  if not in_insert_mode() or popup_visible() or not client.ready(bufnr) then return end
  cancel_request()
  local row, col = cursor()
  local line = api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1]
  local asked = { bufnr = bufnr, row = row, col = col, line = line }
  local ticket = state.ticket
  local params = {
    textDocument = { uri = vim.uri_from_bufnr(bufnr) },
    position = position.of(bufnr, row, col, client.encoding()),
    context = { triggerKind = trigger },
  }
  state.cancel = client.request(bufnr, 'textDocument/inlineCompletion', params,
    function(err, result)
      if ticket == state.ticket then on_answer(asked, err, result) end
    end)
end

local function ask_soon()
  stop_timer()
  if not state.enabled or not state.config.auto then return end
  if not client.wants(api.nvim_get_current_buf()) then return end
  state.timer = state.timer or vim.loop.new_timer()
  state.timer:start(state.config.debounce_ms, 0, vim.schedule_wrap(function()
    if not state.shown then ask(trigger_automatic) end
  end))
end

-- Outside of insert mode: tells the server where the cursor rests, so that it can read ahead there.
-- A key held down moves it often; where it passes by is of no interest.
local function tell_cursor_soon()
  if not state.enabled or not client.wants(api.nvim_get_current_buf()) then return end
  state.cursor_timer = state.cursor_timer or vim.loop.new_timer()
  state.cursor_timer:start(cursor_rest_ms, 0, vim.schedule_wrap(function()
    local bufnr = api.nvim_get_current_buf()
    if not client.wants(bufnr) or not client.ready(bufnr) then return end
    local row, col = cursor()
    client.notify('incipit/didMoveCursor', {
      textDocument = { uri = vim.uri_from_bufnr(bufnr) },
      position = position.of(bufnr, row, col, client.encoding()),
    })
  end))
end

-- The text or the cursor changed in insert mode.
local function on_change()
  if not refresh() then ask_soon() end
end

-- Asks at once, also when automatic suggestions are off.
function M.trigger()
  stop_timer()
  hide()
  ask(trigger_invoked)
end

function M.visible() return state.shown ~= nil end

-- The part of `rest` that one press of a key accepts.
local function portion_of(rest, portion)
  if portion == 'line' then
    return rest:match('^\n?[^\n]*')
  elseif portion == 'word' then
    local word = vim.fn.matchstr(rest, [[^\_s*\%(\k\+\|\%(\k\@!\S\)\+\)]])
    return word ~= '' and word or rest
  end
  return rest
end

-- Inserts the suggestion or a part of it ('all', 'line', 'word'). Returns whether there was one.
function M.accept(portion)
  local rest, row, col = remaining_text()
  if not rest then
    hide()
    return false
  end
  local shown = state.shown
  local text = portion_of(rest, portion)
  local whole = text == rest
  local lines = vim.split(text, '\n', { plain = true })
  -- One undo takes back the suggestion alone, not what was typed before it.
  vim.cmd('let &g:undolevels = &g:undolevels')
  if whole then hide() end
  cancel_request()
  api.nvim_buf_set_text(shown.bufnr, row, col, row, col + (whole and shown.replaced or 0), lines)
  local last_col = #lines == 1 and col + #lines[1] or #lines[#lines]
  api.nvim_win_set_cursor(0, { row + #lines, last_col })
  if whole and shown.command then
    client.request(shown.bufnr, 'workspace/executeCommand',
      { command = shown.command.command, arguments = shown.command.arguments }, function() end)
  end
  on_change()
  return true
end

-- Returns whether there was something to dismiss.
function M.dismiss()
  local visible = state.shown ~= nil
  M.clear()
  return visible
end

function M.set_enabled(enabled)
  state.enabled = enabled
  if not enabled then M.clear() end
end

function M.enabled() return state.enabled end

function M.setup(config)
  state.config = config
  local group = api.nvim_create_augroup('incipit_ghost', { clear = true })
  local function on(events, callback, pattern)
    api.nvim_create_autocmd(events, { group = group, pattern = pattern, callback = callback })
  end
  local function highlight() vim.cmd('highlight default link IncipitGhost Comment') end
  highlight()
  on('ColorScheme', highlight)
  on({ 'TextChangedI', 'CursorMovedI', 'InsertEnter', 'CompleteDone' }, on_change)
  on({ 'CursorMoved', 'BufEnter' }, tell_cursor_soon)
  on('TextChangedP', M.clear)
  on({ 'InsertLeave', 'BufLeave', 'VimLeavePre' }, M.clear)
  on('User', M.clear, 'IncipitServerGone')
end

-- What is on display, for tests and for status lines: the text left to insert, or nil.
function M.current()
  return (remaining_text())
end

M.namespace = namespace

return M
