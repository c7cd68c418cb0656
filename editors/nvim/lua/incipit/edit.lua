-- The commands that change code. The server sends the edits itself, by workspace/applyEdit; here they are
-- asked for, and what came of them is told.
local client = require('incipit.client')
local selection = require('incipit.selection')
local stream = require('incipit.stream')

local M = {}

-- A refusal that is known beforehand comes sooner, and wants no word about writing in front of it.
local notice_after_ms = 200

local next_run = 0
local running = {}  -- number -> function that cancels

local function warn(message) vim.notify('incipit: ' .. message, vim.log.levels.WARN) end

-- Text that could not be put anywhere.
local function show(text, filetype)
  vim.cmd('new')
  vim.bo.buftype, vim.bo.bufhidden, vim.bo.filetype = 'nofile', 'wipe', filetype
  vim.api.nvim_buf_set_lines(0, 0, -1, false, vim.split(text:gsub('\n$', ''), '\n'))
end

local function on_answer(filetype, err, result)
  if err then return warn(tostring(err.message or err)) end
  if type(result) ~= 'table' or result.applied then return end
  warn(tostring(result.message))
  if type(result.text) == 'string' then show(result.text, filetype) end
end

-- Sends a command whose arguments are complete.
function M.send(bufnr, command, arguments)
  local filetype = vim.bo[bufnr].filetype
  next_run = next_run + 1
  local id = next_run
  local cancel = stream.start(bufnr, command, arguments, {
    piece = function() end,  -- the server makes an edit of the whole
    finished = function(err, result)
      running[id] = nil
      on_answer(filetype, err, result)
    end,
  })
  if not cancel then return warn('the server is gone') end
  running[id] = cancel
  vim.defer_fn(function()
    if running[id] then vim.notify('incipit: the model is writing …') end
  end, notice_after_ms)
end

-- Cancels what the model is writing. Returns whether there was anything.
function M.stop()
  local cancels = running
  running = {}
  for _, cancel in pairs(cancels) do cancel() end
  return next(cancels) ~= nil
end

-- The diagnostics of these lines (1-based), as far as the server looks at them.
local function diagnostics_of(bufnr, line1, line2)
  local found = {}
  for _, one in ipairs(vim.diagnostic.get(bufnr)) do
    if one.lnum >= line1 - 1 and one.lnum <= line2 - 1 then
      local place = { line = one.lnum, character = 0 }
      table.insert(found, { range = { start = place, ['end'] = place }, message = one.message })
    end
  end
  return found
end

-- `instruction` is for incipit.rewrite alone, and asked for when it is missing.
function M.run(command, line1, line2, instruction)
  local bufnr = vim.api.nvim_get_current_buf()
  if not client.ready(bufnr) then
    return warn('nothing is changed here: ' .. client.why_not_ready(bufnr))
  end
  local action = { command = command, arguments = { vim.uri_from_bufnr(bufnr), (selection.of(bufnr, line1, line2, false)) } }
  if command == 'incipit.rewrite' and not (instruction or ''):match('%S') then
    return M.ask_and_rewrite(action, { bufnr = bufnr })
  end
  if command == 'incipit.fix' then
    table.insert(action.arguments, diagnostics_of(bufnr, line1, line2))
  elseif instruction then
    table.insert(action.arguments, instruction)
  end
  M.send(bufnr, command, action.arguments)
end

-- A code action's incipit.rewrite lacks its instruction, which only the editor can ask for.
function M.ask_and_rewrite(action, context)
  vim.ui.input({ prompt = 'Rewrite: ' }, function(instruction)
    if not instruction or not instruction:match('%S') then return end
    M.send(context.bufnr, action.command, { action.arguments[1], action.arguments[2], instruction })
  end)
end

-- Whether the model is still writing; for tests.
function M.running() return next(running) ~= nil end

return M
