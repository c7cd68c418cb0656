-- What differs between the versions of Neovim, 0.7 to 0.12. Everything else is written once, for all of them. A feature is
-- looked for when it is used: it may be the user's own back-port.
local M = {}

-- 0.10 renamed it.
M.uv = vim.uv or vim.loop

-- 0.12: Neovim asks for inline completions and draws them by itself.
function M.has_native_completion()
  local native = vim.lsp.inline_completion
  return type(native) == 'table' and type(native.enable) == 'function' and type(native.get) == 'function'
end

-- 0.10: text can be drawn between other text.
function M.has_inline_virtual_text() return vim.fn.has('nvim-0.10') == 1 end

-- 0.11 turned the client's functions into methods.
function M.call(client, name, ...)
  if vim.fn.has('nvim-0.11') == 1 then return client[name](client, ...) end
  return client[name](...)
end

-- Returns the id of the client, or nil. No buffer is attached: before 0.11 vim.lsp.start() could not leave that out.
function M.start_client(options)
  if vim.fn.has('nvim-0.11') == 0 then return vim.lsp.start_client(options) end
  return vim.lsp.start(options, { attach = false, reuse_client = function() return false end })
end

-- Calls back whenever a request was sent, cancelled or answered. 0.10 made it an event of its own.
function M.on_request_change(group, callback)
  local is_event = vim.fn.exists('##LspRequest') == 1
  vim.api.nvim_create_autocmd(is_event and 'LspRequest' or 'User',
    { group = group, pattern = not is_event and 'LspRequest' or nil, callback = callback })
end

-- 0.12 moved it.
function M.log_path()
  if vim.lsp.log and vim.lsp.log.get_filename then return vim.lsp.log.get_filename() end
  return vim.lsp.get_log_path()
end

-- Runs a program to its end. Returns its exit code and what it printed; code 124 is one that took too long.
function M.run(cmd, timeout_ms)
  if vim.system then  -- 0.10
    local done = vim.system(cmd, { text = true, timeout = timeout_ms }):wait()
    return done.code, (done.stdout or '') .. (done.stderr or '')
  end
  local output = {}
  local function on_output(_, lines) table.insert(output, table.concat(lines, '\n')) end
  local job = vim.fn.jobstart(cmd, {
    stdout_buffered = true, stderr_buffered = true, on_stdout = on_output, on_stderr = on_output,
  })
  local code = vim.fn.jobwait({ job }, timeout_ms)[1]
  if code == -1 then
    vim.fn.jobstop(job)
    code = 124
  end
  return code, table.concat(output)
end

return M
