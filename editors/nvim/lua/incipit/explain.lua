-- Explains lines or a selection in a floating window, streamed while the model writes.
local client = require('incipit.client')
local float = require('incipit.float')
local position = require('incipit.position')

local M = {}

local api = vim.api
local next_token = 0
local n_running = 0

local function warn(message) vim.notify('incipit: ' .. message, vim.log.levels.WARN) end

-- The range and the text of lines line1..line2 (1-based), or the exact selection when those lines were selected
-- character by character.
local function range_of(bufnr, line1, line2, selected)
  local encoding = client.encoding()
  local lines = api.nvim_buf_get_lines(bufnr, line1 - 1, line2, false)
  local from, to = 0, #lines[#lines]
  if selected and vim.fn.visualmode() == 'v' then
    local first, last = api.nvim_buf_get_mark(bufnr, '<'), api.nvim_buf_get_mark(bufnr, '>')
    if first[1] == line1 and last[1] == line2 then
      from = math.min(first[2], #lines[1])
      -- The mark is on the first byte of the last character, which belongs to the selection.
      local last_line = lines[#lines]
      local after = position.to_character(last_line, last[2], 'utf-32') + 1
      to = position.to_byte(last_line, after, 'utf-32')
    end
  end
  local range = {
    start = { line = line1 - 1, character = position.to_character(lines[1], from, encoding) },
    ['end'] = {
      line = line1 + #lines - 2, character = position.to_character(lines[#lines], to, encoding),
    },
  }
  lines[#lines] = lines[#lines]:sub(1, to)
  lines[1] = lines[1]:sub(from + 1)
  return range, table.concat(lines, '\n')
end

-- Each report carries the next piece of the text.
local function on_progress(run, value)
  if type(value) ~= 'table' or type(value.message) ~= 'string' then return end
  if value.kind == 'begin' then  -- such as "waiting for the model"
    float.set_text(run.view, '… ' .. value.message)
  elseif value.kind == 'report' then
    run.text = run.text .. value.message:gsub('\r\n?', '\n')
    float.set_text(run.view, run.text)
  end
end

local function finish(run)
  client.set_progress_sink(run.token, nil)
  if not run.finished then n_running = n_running - 1 end
  run.finished = true
end

local function on_answer(run, err, result)
  finish(run)
  run.cancel = nil
  if err then
    float.set_text(run.view, 'incipit: ' .. tostring(err.message or err))
    return
  end
  local text = type(result) == 'table' and result.text or result
  if type(text) == 'string' and text:match('%S') then
    float.set_text(run.view, (text:gsub('\r\n?', '\n'):gsub('%s+$', '')))
  elseif run.text == '' then
    float.set_text(run.view, 'The model has nothing to say about this.')
  end
end

-- Lines are 1-based; `selected` says that they are the last visual selection.
function M.explain(line1, line2, selected)
  local bufnr = api.nvim_get_current_buf()
  if not client.ready(bufnr) then
    return warn('nothing is explained here: ' .. client.why_not_ready(bufnr))
  end
  local range, text = range_of(bufnr, line1, line2, selected)
  if not text:match('%S') then return warn('nothing to explain: the selection is blank') end
  local arguments = { vim.uri_from_bufnr(bufnr), range }
  next_token = next_token + 1
  n_running = n_running + 1
  local run = { token = 'incipit-explain-' .. next_token, text = '' }
  run.view = float.open(function()
    finish(run)
    if run.cancel then run.cancel() end
  end)
  float.set_text(run.view, '…')
  client.set_progress_sink(run.token, function(value) on_progress(run, value) end)
  run.cancel = client.request(bufnr, 'workspace/executeCommand', {
    command = 'incipit.explain',
    arguments = arguments,
    workDoneToken = run.token,
  }, function(err, result) on_answer(run, err, result) end)
  if not run.cancel then
    finish(run)
    float.set_text(run.view, 'incipit: the server is gone')
  end
end

M.range_of = range_of

-- Whether the model is still writing; for tests and status lines.
function M.running() return n_running > 0 end

return M
