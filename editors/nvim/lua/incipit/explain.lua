-- Explains lines or a selection in a floating window, streamed while the model writes.
local client = require('incipit.client')
local float = require('incipit.float')
local selection = require('incipit.selection')
local stream = require('incipit.stream')

local M = {}

local current = nil  -- the explanation that is being written

local function warn(message) vim.notify('incipit: ' .. message, vim.log.levels.WARN) end

local function finish(run)
  if run.finished then return end
  run.finished = true
  if current == run then current = nil end
end

local function on_piece(run, piece)
  if run.text == '' then
    float.set_text(run.view, piece)
  else
    float.append(run.view, piece)
  end
  run.text = run.text .. piece
end

local function on_answer(run, err, result)
  finish(run)
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

local function cancel(run)
  if run.finished then return end
  finish(run)
  if run.cancel then run.cancel() end
end

-- The window stays, with what was written so far.
local function stop(run)
  if run.finished then return end
  cancel(run)
  float.set_text(run.view, (run.text .. '\n\n_cancelled_'):gsub('^\n+', ''))
end

-- Lines are 1-based; `selected` says that they are the last visual selection.
function M.explain(line1, line2, selected)
  local bufnr = vim.api.nvim_get_current_buf()
  if not client.ready(bufnr) then
    return warn('nothing is explained here: ' .. client.why_not_ready(bufnr))
  end
  local range, text = selection.of(bufnr, line1, line2, selected)
  if not text:match('%S') then return warn('nothing to explain: the selection is blank') end
  local run = { text = '' }
  run.view = float.open(function() cancel(run) end, function() stop(run) end)  -- ends an older one
  current = run
  float.set_text(run.view, '…')
  run.cancel = stream.start(bufnr, 'incipit.explain', { vim.uri_from_bufnr(bufnr), range }, {
    begun = function(message) float.set_text(run.view, '… ' .. message) end,
    piece = function(piece) on_piece(run, piece) end,
    finished = function(err, result) on_answer(run, err, result) end,
  })
  if not run.cancel then
    finish(run)
    float.set_text(run.view, 'incipit: the server is gone')
  end
end

-- Returns whether there was anything to stop.
function M.stop()
  if not current then return false end
  stop(current)
  return true
end

-- Whether the model is still writing; for tests.
function M.running() return current ~= nil end

return M
