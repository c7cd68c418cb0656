-- The commands that change code. The server sends the edits itself, by workspace/applyEdit; here they are
-- asked for, and what came of them is told.
local client = require('incipit.client')
local explain = require('incipit.explain')

local M = {}

local n_running = 0

local function warn(message) vim.notify('incipit: ' .. message, vim.log.levels.WARN) end

-- Text that could not be put anywhere.
local function show(text, filetype)
  vim.cmd('new')
  vim.bo.buftype, vim.bo.bufhidden, vim.bo.filetype = 'nofile', 'wipe', filetype
  vim.api.nvim_buf_set_lines(0, 0, -1, false, vim.split(text:gsub('\n$', ''), '\n'))
end

-- Sends a command whose arguments are complete.
function M.send(bufnr, command, arguments)
  local filetype = vim.bo[bufnr].filetype
  local cancel = client.request(bufnr, 'workspace/executeCommand',
    { command = command, arguments = arguments },
    function(err, result)
      n_running = n_running - 1
      if err then return warn(tostring(err.message or err)) end
      if type(result) ~= 'table' or result.applied then return end
      warn(tostring(result.message))
      if type(result.text) == 'string' then show(result.text, filetype) end
    end)
  if not cancel then return warn('the server is gone') end
  n_running = n_running + 1
  vim.notify('incipit: the model is writing …')
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

-- `instruction` is for incipit.rewrite alone.
function M.run(command, line1, line2, instruction)
  local bufnr = vim.api.nvim_get_current_buf()
  if not client.ready(bufnr) then
    return warn('nothing is changed here: ' .. client.why_not_ready(bufnr))
  end
  local arguments = { vim.uri_from_bufnr(bufnr), (explain.range_of(bufnr, line1, line2, false)) }
  if command == 'incipit.fix' then
    table.insert(arguments, diagnostics_of(bufnr, line1, line2))
  elseif instruction then
    table.insert(arguments, instruction)
  end
  M.send(bufnr, command, arguments)
end

-- A code action's incipit.rewrite lacks its instruction, which only the editor can ask for.
function M.ask_and_rewrite(command, context)
  vim.ui.input({ prompt = 'Rewrite: ' }, function(instruction)
    if not instruction or not instruction:match('%S') then return end
    M.send(context.bufnr, command.command, { command.arguments[1], command.arguments[2], instruction })
  end)
end

-- Whether the model is still writing; for tests and status lines.
function M.running() return n_running > 0 end

return M
