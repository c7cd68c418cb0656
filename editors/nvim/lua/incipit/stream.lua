-- A command of the server whose answer comes in pieces: explanations, chat, edits.
local client = require('incipit.client')

local M = {}

local next_token = 0
local running = {}  -- token -> run

-- How long after the end of its progress a command's response may take. Neovim 0.7 never tells of one that the server
-- cancelled by itself.
local response_ms = 2000

local function finish(run, err, result)
  if not running[run.token] then return end
  running[run.token] = nil
  client.set_progress_sink(run.token, nil)
  run.on.finished(err, result)
end

local function on_progress(run, value)
  if type(value) ~= 'table' or not running[run.token] then return end
  if value.kind == 'end' then
    vim.defer_fn(function() finish(run, { message = 'cancelled by the server' }) end, response_ms)
  elseif type(value.message) ~= 'string' then
    return
  elseif value.kind == 'report' then
    run.on.piece((value.message:gsub('\r\n?', '\n')))
  elseif value.kind == 'begin' and run.on.begun then
    run.on.begun(value.message)  -- such as "waiting for the model"
  end
end

-- Sends a command. `on` holds piece(text), finished(err, result), called exactly once unless cancelled, and perhaps
-- begun(message). Returns a function that cancels, or nil when the server is gone.
function M.start(bufnr, command, arguments, on)
  next_token = next_token + 1
  local run = { token = 'incipit-stream-' .. next_token, on = on }
  running[run.token] = run
  client.set_progress_sink(run.token, function(value) on_progress(run, value) end)
  local cancel = client.request(bufnr, 'workspace/executeCommand',
    { command = command, arguments = arguments, workDoneToken = run.token },
    function(err, result) finish(run, err, result) end)
  if not cancel then
    running[run.token] = nil
    client.set_progress_sink(run.token, nil)
    return nil
  end
  run.cancel = function()
    if not running[run.token] then return end
    running[run.token] = nil
    client.set_progress_sink(run.token, nil)
    cancel()
  end
  return run.cancel
end

-- The commands in flight get an end when the server has one.
function M.setup()
  client.on('gone', function()
    for _, token in ipairs(vim.tbl_keys(running)) do
      if running[token] then finish(running[token], { message = 'the server ended meanwhile' }) end
    end
  end)
end

return M
