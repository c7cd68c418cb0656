-- The chat's two windows: the conversation as Markdown, and below it the message that is being written.
local markdown = require('incipit.markdown')

local M = {}

local api = vim.api
local input_height = 5

local view = { transcript = nil, input = nil }  -- buffer numbers; kept while Neovim runs

local function window_of(bufnr)
  if not bufnr or not api.nvim_buf_is_valid(bufnr) then return nil end
  for _, winid in ipairs(api.nvim_tabpage_list_wins(0)) do
    if api.nvim_win_get_buf(winid) == bufnr then return winid end
  end
end

local function map(bufnr, modes, keys, action)
  for _, key in ipairs(keys) do
    vim.keymap.set(modes, key, action, { buffer = bufnr, nowait = true, silent = true })
  end
end

local function make_buffer(name)
  local bufnr = api.nvim_create_buf(false, true)
  api.nvim_buf_set_name(bufnr, name)
  vim.bo[bufnr].bufhidden = 'hide'
  vim.bo[bufnr].swapfile = false
  return bufnr
end

-- `on` holds the functions send(text), stop(), regenerate(), clear(), copy().
local function make_buffers(on)
  if view.transcript and api.nvim_buf_is_valid(view.transcript) and api.nvim_buf_is_valid(view.input) then return end
  view.transcript = make_buffer('incipit://chat')
  view.input = make_buffer('incipit://chat-message')
  markdown.attach(view.transcript)
  vim.bo[view.transcript].modifiable = false
  for _, bufnr in ipairs({ view.transcript, view.input }) do
    map(bufnr, 'n', { 'q' }, M.close)
    map(bufnr, { 'n', 'i' }, { '<C-c>' }, on.stop)
  end
  map(view.transcript, 'n', { 'y' }, on.copy)
  map(view.transcript, 'n', { 'R' }, on.regenerate)
  map(view.transcript, 'n', { 'N' }, on.clear)
  map(view.transcript, 'n', { 'i', 'a', 'o' }, M.enter_input)
  local function send()
    local text = table.concat(api.nvim_buf_get_lines(view.input, 0, -1, false), '\n')
    if on.send(vim.trim(text)) then api.nvim_buf_set_lines(view.input, 0, -1, false, {}) end
  end
  map(view.input, 'n', { '<CR>' }, send)
  map(view.input, { 'n', 'i' }, { '<C-s>' }, send)
end

local split_commands = { right = 'botright vsplit', left = 'topleft vsplit', bottom = 'botright split' }

local function open_windows(options)
  vim.cmd(split_commands[options.position])
  local transcript = api.nvim_get_current_win()
  api.nvim_win_set_buf(transcript, view.transcript)
  if options.position == 'bottom' then
    api.nvim_win_set_height(transcript, math.min(options.size, vim.o.lines - 6))
  else
    api.nvim_win_set_width(transcript, math.min(options.size, math.floor(vim.o.columns / 2)))
  end
  markdown.set_up_window(transcript)
  vim.wo[transcript].statusline = ' chat: R again, N new, y copy, q close%<'
  vim.cmd('belowright ' .. input_height .. 'split')
  local input = api.nvim_get_current_win()
  api.nvim_win_set_buf(input, view.input)
  vim.wo[input].winfixheight = true
end

-- Opens the windows, or shows those that are open, and goes to the message. `on` as for make_buffers().
function M.open(options, on)
  make_buffers(on)
  if not window_of(view.transcript) or not window_of(view.input) then
    M.close()
    open_windows(options)
  end
  M.enter_input()
end

function M.close()
  for _, bufnr in ipairs({ view.input, view.transcript }) do
    local winid = window_of(bufnr)
    -- The last window of all cannot be closed: it shows an empty buffer instead.
    if winid and not pcall(api.nvim_win_close, winid, true) then vim.cmd('enew') end
  end
end

function M.enter_input()
  local winid = window_of(view.input)
  if winid then api.nvim_set_current_win(winid) end
end

-- What will be sent along, and how.
function M.set_attached(names)
  local winid = window_of(view.input)
  if not winid then return end
  local attached = #names > 0 and ' with ' .. table.concat(names, ', ') or ''
  vim.wo[winid].statusline = (' message' .. attached):gsub('%%', '%%%%') .. ': <CR> sends, <C-c> stops%<'
end

-- Runs `change`, then scrolls to the end if the end was in view: a reader further up stays there.
local function keep_up(change)
  local winid = window_of(view.transcript)
  local at_end = winid and vim.fn.getwininfo(winid)[1].botline >= api.nvim_buf_line_count(view.transcript)
  change()
  if at_end then api.nvim_win_set_cursor(winid, { api.nvim_buf_line_count(view.transcript), 0 }) end
end

function M.set_text(text)
  if view.transcript then keep_up(function() markdown.set(view.transcript, text) end) end
end

function M.append(text)
  if view.transcript then keep_up(function() markdown.append(view.transcript, text) end) end
end

return M
