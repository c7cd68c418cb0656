-- The language server process: one for the whole editor session, as the model lives inside it.
-- Starts it on the first buffer that wants it, restarts it twice when it dies, then says so once.
local config_module = require('incipit.config')

local M = {}

local max_restarts = 2
local restart_window_ms = 60000

local state = {
  config = nil,
  client_id = nil,
  buffers = {},      -- set of buffer numbers that are or should be attached
  deaths = {},       -- times of unexpected ends, in milliseconds
  given_up = false,  -- no more starts until :IncipitRestart
  stopping = false,
  progress_sinks = {},  -- workDoneToken -> function(value)
}

local function now_ms() return vim.loop.hrtime() / 1e6 end

local function warn_once(message)
  if state.last_warning == message then return end
  state.last_warning = message
  vim.notify('incipit: ' .. message, vim.log.levels.WARN)
end

function M.setup(config)
  state.config = config
  vim.api.nvim_create_autocmd('VimLeavePre', {
    group = vim.api.nvim_create_augroup('incipit_client', { clear = true }),
    callback = function() state.stopping = true end,
  })
end

-- The live client object, or nil.
function M.get()
  return state.client_id and vim.lsp.get_client_by_id(state.client_id) or nil
end

-- Whether the server has answered initialize and knows this buffer.
function M.ready(bufnr)
  local client = M.get()
  return client ~= nil and client.server_capabilities ~= nil
    and vim.lsp.buf_is_attached(bufnr, client.id)
end

-- Why it is not ready, as the end of a sentence.
function M.why_not_ready(bufnr)
  local left_alone = config_module.why_left_alone(state.config, bufnr)
  if left_alone then return left_alone end
  if M.get() then return 'the server is still starting' end
  return 'no server is running; :checkhealth incipit says more'
end

-- Whether suggestions were asked for in this buffer, ready or not.
function M.wants(bufnr) return state.buffers[bufnr] == true end

function M.encoding()
  local client = M.get()
  return client and client.offset_encoding or 'utf-16'
end

-- Neovim 0.11 turned the client's functions into methods.
local call_as_method = vim.fn.has('nvim-0.11') == 1

-- Sends a request. Returns a function that cancels it, or nil when the server is not there. The
-- callback gets (error, result); it is not called at all for a cancelled request, nor (Neovim 0.7)
-- for one that the server cancelled itself, so nothing may depend on it.
function M.request(bufnr, method, params, callback)
  local client = M.get()
  if not client then return nil end
  local cancelled = false
  local function on_reply(err, result)
    if not cancelled then callback(err, result) end
  end
  local ok, id
  if call_as_method then
    ok, id = client:request(method, params, on_reply, bufnr)
  else
    ok, id = client.request(method, params, on_reply, bufnr)
  end
  if not ok then return nil end
  return function()
    if cancelled then return end
    cancelled = true
    local live = M.get()
    if not live or live.id ~= client.id then return end
    if call_as_method then live:cancel_request(id) else live.cancel_request(id) end
  end
end

function M.notify(method, params)
  local client = M.get()
  if not client then return end
  if call_as_method then client:notify(method, params) else client.notify(method, params) end
end

-- Until removed with nil, `sink` gets the value of every $/progress with this token.
function M.set_progress_sink(token, sink) state.progress_sinks[token] = sink end

local function on_progress(err, params, ctx, ...)
  local sink = params and state.progress_sinks[params.token]
  if sink then return sink(params.value) end
  local default = vim.lsp.handlers['$/progress']
  if default then return default(err, params, ctx, ...) end
end

-- Neovim's own handler writes "LSP[incipit][Warning] " first, and then cuts the message short.
local function on_show_message(_, params)
  local levels = { vim.log.levels.ERROR, vim.log.levels.WARN }
  local text = params.message
  if not text:match('^incipit') then text = 'incipit: ' .. text end
  vim.notify(text, levels[params.type] or vim.log.levels.INFO)
end

local restart

-- Runs in a fast context when the process ends.
local function on_exit(_, _, client_id)
  vim.schedule(function()
    if state.client_id ~= client_id then return end
    state.client_id = nil
    state.progress_sinks = {}
    vim.api.nvim_exec_autocmds('User', { pattern = 'IncipitServerGone', modeline = false })
    if state.stopping then return end
    local now = now_ms()
    state.deaths = vim.tbl_filter(function(t) return now - t < restart_window_ms end, state.deaths)
    table.insert(state.deaths, now)
    if #state.deaths > max_restarts then
      state.given_up = true
      warn_once('the server ended ' .. #state.deaths .. ' times within a minute and is left alone; '
        .. ':checkhealth incipit says more, :IncipitRestart tries again')
      return
    end
    restart()
  end)
end

local function client_config(cmd)
  local settings = state.config.settings
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.textDocument.inlineCompletion = { dynamicRegistration = false }
  capabilities.experimental = { incipit = { asksInstruction = true } }
  return {
    name = 'incipit',
    cmd = cmd,
    root_dir = vim.fn.getcwd(),
    capabilities = capabilities,
    init_options = next(settings) and settings or vim.empty_dict(),
    settings = { incipit = settings },
    -- The server prefills the prompt on every change, so that the answer is quick when asked for.
    flags = { debounce_text_changes = 0 },
    handlers = { ['$/progress'] = on_progress, ['window/showMessage'] = on_show_message },
    on_exit = on_exit,
  }
end

-- Neovim 0.7 drops its change listener at the next edit once no client id is left for a buffer and
-- never puts it back: a restarted server would hear of no change. An id without a client keeps it.
local keep_listening_id = vim.fn.has('nvim-0.8') == 0 and -1 or nil

local function attach_one(bufnr)
  if not state.client_id then return end
  if keep_listening_id then vim.lsp.buf_attach_client(bufnr, keep_listening_id) end
  vim.lsp.buf_attach_client(bufnr, state.client_id)
end

-- Starts the server if needed. Returns whether there is one.
local function ensure_started()
  if M.get() then return true end
  if state.given_up then return false end
  local cmd, looked_at = config_module.server_command(state.config)
  if not cmd then
    state.given_up = true
    warn_once('the program was not found; looked for: ' .. table.concat(looked_at, ', ')
      .. '. Build it with `make demo`, or set cmd in setup{}.')
    return false
  end
  local start = vim.lsp.start_client
  if vim.fn.has('nvim-0.8') == 1 then
    -- A buffer that vim.lsp.start attaches must not be one of ours yet: attach explicitly below.
    start = function(options)
      return vim.lsp.start(options, { attach = false, reuse_client = function() return false end })
    end
  end
  local ok, id = pcall(start, client_config(cmd))
  if not ok or not id then
    state.given_up = true
    warn_once('could not start ' .. table.concat(cmd, ' ') .. (ok and '' or ': ' .. tostring(id)))
    return false
  end
  state.client_id = id
  return true
end

restart = function()
  if not ensure_started() then return end
  for bufnr in pairs(state.buffers) do
    if vim.api.nvim_buf_is_loaded(bufnr) then
      attach_one(bufnr)
    else
      state.buffers[bufnr] = nil
    end
  end
end

function M.attach(bufnr)
  if state.buffers[bufnr] and M.get() and vim.lsp.buf_is_attached(bufnr, state.client_id) then
    return
  end
  state.buffers[bufnr] = true
  if ensure_started() then attach_one(bufnr) end
end

function M.detach(bufnr) state.buffers[bufnr] = nil end

-- Ends the server, if it runs, and starts a fresh one.
function M.restart()
  local client = M.get()
  state.given_up, state.deaths, state.last_warning = false, {}, nil
  state.client_id = nil  -- so that on_exit of the old one is ignored
  if client then vim.lsp.stop_client(client.id) end
  restart()
end

-- For :checkhealth and tests.
function M.describe()
  local client = M.get()
  return {
    running = client ~= nil,
    ready = client ~= nil and client.server_capabilities ~= nil,
    given_up = state.given_up,
    deaths = #state.deaths,
    client_id = state.client_id,
    buffers = vim.tbl_keys(state.buffers),
  }
end

return M
