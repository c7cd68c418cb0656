-- Our own ghost text: asks for an inline completion after a pause in typing, shows it behind the cursor, keeps it while the
-- user types what it says, inserts it when accepted. Where Neovim does this by itself: native_completion.lua.
local client = require('incipit.client')
local compat = require('incipit.compat')
local draw = require('incipit.ghost_draw')
local position = require('incipit.position')
local suggestions = require('incipit.suggestion')

local M = {}

local api = vim.api
local method = 'textDocument/inlineCompletion'
local trigger_invoked, trigger_automatic = 1, 2
-- A server that hangs gets no further question until it answers, and none of our queues grows.
local max_unanswered = 2

local state = {
  config = nil,
  enabled = true,
  timer = nil,
  cancel = nil,    -- cancels the request in flight
  ticket = 0,      -- number of the newest request; older answers are ignored
  postponed = nil, -- { trigger, step } of a request that waits for the server to answer older ones
  -- The suggestion on display or nil: as suggestion.lua makes it, with the marks `start_mark` and `drawn_mark`.
  shown = nil,
  -- What the suggestion on display is one of: { items, index, by_hand }.
  offer = nil,
  hint = nil,      -- such as " (2/3)", while going through the alternatives
}

local function stop_timer()
  if state.timer then state.timer:stop() end
end

local function cancel_request()
  state.ticket = state.ticket + 1
  state.postponed = nil
  if state.cancel then
    state.cancel()
    state.cancel = nil
  end
end

-- Takes the ghost text away; requests go on.
local function hide()
  local shown = state.shown
  state.shown, state.offer, state.hint = nil, nil, nil
  if shown then draw.clear(shown.bufnr) end
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

local function line_at(bufnr, row) return api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] end

-- What is left to insert at the cursor, or nil when the buffer no longer agrees with the
-- suggestion.
local function remaining_text()
  local shown = state.shown
  if not shown or api.nvim_get_current_buf() ~= shown.bufnr then return nil end
  local row, col = cursor()
  local mark = api.nvim_buf_get_extmark_by_id(shown.bufnr, draw.namespace, shown.start_mark, {})
  if not mark[1] or row < mark[1] or (row == mark[1] and col < mark[2]) then return nil end
  local line = line_at(shown.bufnr, row)
  if line == nil or line:sub(col + 1) ~= shown.tail then return nil end
  local typed = table.concat(api.nvim_buf_get_text(shown.bufnr, mark[1], mark[2], row, col, {}), '\n')
  if shown.text:sub(1, #typed) ~= typed then return nil end
  local rest = shown.text:sub(#typed + 1)
  if rest == '' or rest == shown.tail:sub(1, shown.replaced) then return nil end
  return rest, row, col
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
  draw.draw(state.shown, rest, row, col, state.hint)
  return true
end

-- Shows item `index` of an offer. Returns whether it fits what stands there now.
local function show(offer, index, row, hint)
  local suggestion = offer.items[index]
  hide()
  local line = line_at(suggestion.bufnr, row)
  if line == nil or suggestion.from > #line then return false end
  suggestion.start_mark = draw.mark(suggestion.bufnr, row, suggestion.from)
  suggestion.drawn_mark = nil
  offer.index = index
  state.shown, state.offer, state.hint = suggestion, offer, hint
  return refresh()
end

-- The next (1) or previous (-1) item of the offer that fits what was typed since. The one on display does.
local function show_alternative(step)
  local offer, n_items = state.offer, #state.offer.items
  local row = api.nvim_buf_get_extmark_by_id(state.shown.bufnr, draw.namespace, state.shown.start_mark, {})[1]
  local index = offer.index
  for _ = 1, n_items do
    index = (index - 1 + step) % n_items + 1
    if show(offer, index, row, string.format(' (%d/%d)', index, n_items)) then return end
  end
end

-- One item is shown and others were asked for by hand, at the cursor: an offer of all that differ from here on.
local function extend_offer(found, asked)
  local rest = remaining_text()
  if not rest then return { items = found, by_hand = true } end
  local shown = state.shown
  local first = vim.tbl_extend('force', shown, { from = asked.col, text = rest })
  local items, seen = { first }, { [rest] = true }
  for _, item in ipairs(found) do
    local before = asked.line:sub(item.from + 1, asked.col)
    local differs = item.text:sub(#before + 1)
    if item.text:sub(1, #before) == before and not seen[differs] then
      seen[differs] = true
      items[#items + 1] = item
    end
  end
  return { items = items, by_hand = true }
end

local ask

-- The text changed since it was asked for: the server may have fitted the answer to what it knew by then, which need not be
-- what stands here, so no answer can be measured any more. It has made the suggestion, though, and a second question costs
-- nothing. Where it found none, the pause in typing asks.
local function ask_again(asked, n_found)
  if n_found == 0 and not asked.by_hand then return end
  stop_timer()
  ask(asked.by_hand and trigger_invoked or trigger_automatic, asked.step)
end

local function on_answer(asked, err, result)
  state.cancel = nil
  if err or type(result) ~= 'table' then return end
  if not api.nvim_buf_is_loaded(asked.bufnr) or not in_insert_mode() then return end
  local items = result.items or result
  if api.nvim_buf_get_changedtick(asked.bufnr) ~= asked.changedtick then return ask_again(asked, #items) end
  -- The cursor alone has moved: the answer is for another place.
  local row, col = cursor()
  if row ~= asked.row or col ~= asked.col then return end
  local found = {}
  for _, item in ipairs(items) do
    found[#found + 1] = suggestions.from_item(item, asked, client.encoding())
  end
  if asked.step and state.shown then
    local offer = extend_offer(found, asked)
    if #offer.items > 0 and show(offer, 1, asked.row) then show_alternative(asked.step) end
  elseif #found > 0 then
    show({ items = found, by_hand = asked.by_hand }, 1, asked.row)
  end
end

-- Asks the server for a suggestion at the cursor; with `step`, for others than the one on display.
ask = function(trigger, step)
  local bufnr = api.nvim_get_current_buf()
  if not in_insert_mode() or popup_visible() or not client.ready(bufnr) then return end
  cancel_request()
  if client.unanswered(method) >= max_unanswered then
    state.postponed = { trigger, step }
    return
  end
  local row, col = cursor()
  local by_hand = trigger == trigger_invoked
  local asked = {
    bufnr = bufnr, row = row, col = col, line = line_at(bufnr, row), changedtick = api.nvim_buf_get_changedtick(bufnr),
    step = step, by_hand = by_hand,
  }
  local ticket = state.ticket
  local params = {
    textDocument = { uri = vim.uri_from_bufnr(bufnr) },
    position = position.of(bufnr, row, col, client.encoding()),
    context = { triggerKind = trigger },
  }
  state.cancel = client.request(bufnr, method, params, function(err, result)
    if ticket == state.ticket then on_answer(asked, err, result) end
  end)
end

local function ask_postponed()
  if not state.postponed or client.unanswered(method) >= max_unanswered then return end
  local trigger, step = unpack(state.postponed)
  if step or not state.shown then ask(trigger, step) end
end

local function ask_soon()
  stop_timer()
  if not state.enabled or not state.config.auto then return end
  if not client.wants(api.nvim_get_current_buf()) then return end
  state.timer = state.timer or compat.uv.new_timer()
  state.timer:start(state.config.debounce_ms, 0, vim.schedule_wrap(function()
    if not state.shown then ask(trigger_automatic) end
  end))
end

-- The text or the cursor changed in insert mode.
local function on_change()
  state.hint = nil
  if not refresh() then ask_soon() end
end

-- Asks at once, also when automatic suggestions are off.
local function trigger()
  stop_timer()
  hide()
  ask(trigger_invoked)
end

local function show_other(step)
  if not remaining_text() then return end
  if #state.offer.items > 1 or state.offer.by_hand then
    show_alternative(step)
  else
    ask(trigger_invoked, step)
  end
end

-- Inserts the suggestion or a part of it ('all', 'line', 'word').
local function accept(portion)
  local rest, row, col = remaining_text()
  if not rest then return hide() end
  local shown = state.shown
  local text = suggestions.portion_of(rest, portion)
  local whole = text == rest
  if whole then hide() end
  cancel_request()
  suggestions.insert(shown.bufnr, row, col, whole and shown.replaced or 0, text)
  if whole and shown.command then
    client.request(shown.bufnr, 'workspace/executeCommand',
      { command = shown.command.command, arguments = shown.command.arguments }, function() end)
  end
  on_change()
end

local actions = {
  accept = function() accept('all') end,
  accept_word = function() accept('word') end,
  accept_line = function() accept('line') end,
  next = function() show_other(1) end,
  previous = function() show_other(-1) end,
  dismiss = M.clear,
  trigger = trigger,
}

function M.visible() return state.shown ~= nil end

-- Whether a key of this name has something to do now. Changes nothing: called while text is locked.
function M.press(name) return name == 'trigger' or remaining_text() ~= nil end

-- Does it.
function M.act(name) actions[name]() end

function M.set_enabled(enabled)
  state.enabled = enabled
  if not enabled then M.clear() end
end

function M.setup(config)
  state.config = config
  draw.setup()
  local group = api.nvim_create_augroup('incipit_ghost', { clear = true })
  local function on(events, callback, pattern)
    api.nvim_create_autocmd(events, { group = group, pattern = pattern, callback = callback })
  end
  on('ColorScheme', draw.setup)
  on({ 'TextChangedI', 'CursorMovedI', 'InsertEnter', 'CompleteDone' }, on_change)
  on('TextChangedP', M.clear)
  on({ 'InsertLeave', 'BufLeave', 'VimLeavePre' }, M.clear)
  client.on('gone', M.clear)
  compat.on_request_change(group, vim.schedule_wrap(ask_postponed))
end

-- What is on display, for tests and for status lines: the text left to insert, or nil.
function M.current()
  return (remaining_text())
end

M.namespace = draw.namespace

return M
