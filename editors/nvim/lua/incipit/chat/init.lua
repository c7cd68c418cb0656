-- The chat: one conversation, kept while Neovim runs, about code that the user attaches.
local Conversation = require('incipit.chat.conversation')
local client = require('incipit.client')
local selection = require('incipit.selection')
local stream = require('incipit.stream')
local view = require('incipit.chat.view')

local M = {}

local api = vim.api

local state = {
  options = require('incipit.config').defaults.chat,
  conversation = Conversation.new(),
  attached = {},  -- code that goes with the next message
  answer = nil,   -- the message that is being written
  cancel = nil,
}

local function warn(message) vim.notify('incipit: ' .. message, vim.log.levels.WARN) end

local function render() view.set_text(state.conversation:to_markdown()) end

local function show_attached()
  view.set_attached(vim.tbl_map(function(piece)
    return string.format('%s:%d-%d', piece.path, piece.first, piece.last)
  end, state.attached))
end

local function end_answer(note)
  local answer = state.answer
  state.answer, state.cancel = nil, nil
  answer.content = answer.content:gsub('%s+$', '')
  answer.note = note
  render()
end

local function note_of(result)
  local notes = {}
  if result.finish == 'length' then notes[#notes + 1] = 'cut off at incipit.chat.maxTokens' end
  local n_left_out = tonumber(result.leftOut) or 0
  if n_left_out > 0 then
    notes[#notes + 1] = n_left_out .. ' older messages no longer fit and were left out'
  end
  return #notes > 0 and table.concat(notes, '; ') or nil
end

local function on_finished(err, result)
  if err then return end_answer(tostring(err.message or err)) end
  if type(result) == 'table' and type(result.text) == 'string' then
    state.answer.content = result.text:gsub('\r\n?', '\n')
    return end_answer(note_of(result))
  end
  end_answer(nil)
end

local function on_piece(piece)
  state.answer.content = state.answer.content .. piece
  view.append(piece)
end

-- Has the last question answered.
local function answer()
  local messages = state.conversation:to_send()
  state.answer = state.conversation:begin_answer()
  render()
  -- The empty line after the heading is where the pieces go.
  state.cancel = stream.start(api.nvim_get_current_buf(), 'incipit.chat', { { messages = messages } },
    { piece = on_piece, finished = on_finished })
  if not state.cancel then end_answer('the server is not running; :checkhealth incipit says more') end
end

-- Returns whether the message was taken.
local function send(text)
  if state.answer then
    warn('the model is still writing; <C-c> stops it')
    return false
  end
  if text == '' then return false end
  state.conversation:add_user(text, #state.attached > 0 and state.attached or nil)
  state.attached = {}
  show_attached()
  answer()
  return true
end

-- Stops the answer that is being written; what is there stays. Returns whether there was one.
function M.stop()
  if not state.answer then return false end
  if state.cancel then state.cancel() end
  end_answer('stopped')
  return true
end

local function on_interrupt()
  if not M.stop() then api.nvim_feedkeys(api.nvim_replace_termcodes('<Esc>', true, false, true), 'n', false) end
end

-- Writes the last answer anew.
function M.regenerate()
  M.stop()
  if not state.conversation:take_back_answer() then return warn('there is no question to answer') end
  answer()
end

-- Begins a new conversation.
function M.clear()
  M.stop()
  state.conversation, state.attached = Conversation.new(), {}
  render()
  show_attached()
end

local function copy()
  local text = state.conversation:last_answer()
  if text then require('incipit.markdown').copy(text) end
end

local function attach(bufnr, line1, line2, selected)
  local _, text = selection.of(bufnr, line1, line2, selected)
  if not text:match('%S') then return warn('nothing is attached: the selection is blank') end
  table.insert(state.attached, {
    path = vim.fn.fnamemodify(api.nvim_buf_get_name(bufnr), ':.'),
    languageId = vim.bo[bufnr].filetype, text = text, first = line1, last = line2,
  })
end

-- Opens the chat. `lines` is nil or { line1, line2, selected }, code of the current buffer to attach; a `message` is sent at
-- once.
function M.open(lines, message)
  if lines then attach(api.nvim_get_current_buf(), lines[1], lines[2], lines[3]) end
  client.ensure_started()
  view.open(state.options, { send = send, stop = on_interrupt, regenerate = M.regenerate, clear = M.clear, copy = copy })
  show_attached()
  if not state.answer then render() end
  if message and message:match('%S') then send(vim.trim(message)) end
end

function M.setup(config) state.options = config.chat end

-- The conversation as Markdown.
function M.markdown() return state.conversation:to_markdown() end

-- Whether the model is writing an answer; for tests.
function M.running() return state.answer ~= nil end

return M
