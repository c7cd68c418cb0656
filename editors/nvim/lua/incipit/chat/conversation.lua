-- What was said in the chat, as data. The server keeps nothing: it gets the whole conversation each time.
local M = {}
M.__index = M

-- A message: { role, content, context, note }. `context` is code that a user's message brings along:
-- { path, languageId, text, first, last }. A note is for the reader alone, such as "stopped".
function M.new() return setmetatable({ messages = {} }, M) end

function M:add_user(content, context)
  table.insert(self.messages, { role = 'user', content = content, context = context })
end

-- The answer that is being written.
function M:begin_answer()
  local message = { role = 'assistant', content = '' }
  table.insert(self.messages, message)
  return message
end

-- Takes the newest answer away, so that it can be made anew. Returns whether there is a question to answer.
function M:take_back_answer()
  local last = self.messages[#self.messages]
  if last and last.role == 'assistant' then table.remove(self.messages) end
  last = self.messages[#self.messages]
  return last ~= nil and last.role == 'user'
end

function M:last_answer()
  for i = #self.messages, 1, -1 do
    local message = self.messages[i]
    if message.role == 'assistant' and message.content ~= '' then return message.content end
  end
end

local function for_server(message)
  local context = message.context and vim.tbl_map(function(piece)
    return { path = piece.path, languageId = piece.languageId, text = piece.text }
  end, message.context)
  return { role = message.role, content = message.content, context = context }
end

-- What is sent: questions with their answers, and the last question. Questions that got no answer are left out.
function M:to_send()
  local sent = {}
  for i, message in ipairs(self.messages) do
    local next_one = self.messages[i + 1]
    if message.role == 'assistant' then
      if message.content ~= '' then table.insert(sent, for_server(message)) end
    elseif next_one == nil or (next_one.role == 'assistant' and next_one.content ~= '')
        or (i == #self.messages - 1 and next_one.role == 'assistant') then
      table.insert(sent, for_server(message))
    end
  end
  if sent[#sent] and sent[#sent].role == 'assistant' then table.remove(sent) end
  return sent
end

-- A fence longer than any in the text.
local function fence_for(text)
  local longest = 2
  for ticks in text:gmatch('`+') do longest = math.max(longest, #ticks) end
  return string.rep('`', longest + 1)
end

local function context_lines(lines, piece)
  local fence = fence_for(piece.text)
  local where = piece.first == piece.last and 'line ' .. piece.first
    or 'lines ' .. piece.first .. '–' .. piece.last
  vim.list_extend(lines, { '`' .. piece.path .. '`, ' .. where .. ':', '', fence .. piece.languageId })
  vim.list_extend(lines, vim.split(piece.text, '\n', { plain = true }))
  vim.list_extend(lines, { fence, '' })
end

-- The conversation as Markdown, which is what the window shows and what :write exports.
function M:to_markdown()
  local lines = {}
  for _, message in ipairs(self.messages) do
    vim.list_extend(lines, { message.role == 'user' and '## You' or '## incipit', '' })
    for _, piece in ipairs(message.context or {}) do context_lines(lines, piece) end
    if message.content ~= '' or not message.note then
      vim.list_extend(lines, vim.split(message.content, '\n', { plain = true }))
      if message.note then lines[#lines + 1] = '' end
    end
    if message.note then vim.list_extend(lines, { '_' .. message.note .. '_' }) end
    -- An answer that has not begun ends with the line where its first piece goes.
    if message.content ~= '' or message.note then lines[#lines + 1] = '' end
  end
  return table.concat(lines, '\n')
end

return M
