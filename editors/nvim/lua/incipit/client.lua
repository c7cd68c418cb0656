-- The language server process: one for the whole editor session, as the model lives inside it.
-- Starts it on the first buffer that wants it, restarts it twice when it dies, then says so once.
local compat = require('incipit.compat')
local config_module = require('incipit.config')

local M = {}

local max_restarts = 2
local restart_window_ms = 60000
-- A server that was told to end and has not after this time is killed.
local patience_with_end_ms = 3000

local state = {
  config = nil,
  client_id = nil,
  pid = nil,
  buffers = {},      -- set of buffer numbers that are or should be attached
  deaths = {},       -- times of unexpected ends, in milliseconds
  given_up = false,  -- no more starts until :Incipit restart
  stopping = false,
  progress_sinks = {},  -- workDoneToken -> function(value)
  listeners = {},       -- event -> list of functions
}

local function now_ms() return compat.uv.hrtime() / 1e6 end

local function warn_once(message)
  if state.last_warning == message then return end
  state.last_warning = message
  vim.notify('incipit: ' .. message, vim.log.levels.WARN)
end

-- Events: 'initialized' (client), 'attached' (buffer), 'gone', 'load_progress' (value), 'trouble' (a message of the server of type error).
function M.on(event, callback)
  state.listeners[event] = state.listeners[event] or {}
  table.insert(state.listeners[event], callback)
end

local function emit(event, ...)
  for _, callback in ipairs(state.listeners[event] or {}) do callback(...) end
end

function M.setup(config)
  state.config = config
  state.listeners = {}
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
  local ok, id = compat.call(client, 'request', method, params, on_reply, bufnr)
  if not ok then return nil end
  return function()
    if cancelled then return end
    cancelled = true
    local live = M.get()
    if live and live.id == client.id then compat.call(live, 'cancel_request', id) end
  end
end

function M.notify(method, params)
  local client = M.get()
  if client then compat.call(client, 'notify', method, params) end
end

-- How many requests of this method the server has not answered, and how many of those nobody cancelled.
function M.unanswered(method)
  local client = M.get()
  local n_open, n_wanted = 0, 0
  for _, request in pairs(client and client.requests or {}) do
    if request.method == method then
      n_open = n_open + 1
      if request.type == 'pending' then n_wanted = n_wanted + 1 end
    end
  end
  return n_open, n_wanted
end

-- Until removed with nil, `sink` gets the value of every $/progress with this token.
function M.set_progress_sink(token, sink) state.progress_sinks[token] = sink end

local function on_progress(err, params, ctx, ...)
  local sink = params and state.progress_sinks[params.token]
  if sink then return sink(params.value) end
  if params and tostring(params.token):match('^incipit/load/') then emit('load_progress', params.value) end
  local default = vim.lsp.handlers['$/progress']
  if default then return default(err, params, ctx, ...) end
end

-- Neovim's own handler writes "LSP[incipit][Warning] " first, and then cuts the message short.
local function on_show_message(_, params)
  local levels = { vim.log.levels.ERROR, vim.log.levels.WARN }
  local text = params.message
  if not text:match('^incipit') then text = 'incipit: ' .. text end
  vim.notify(text, levels[params.type] or vim.log.levels.INFO)
  if params.type == 1 then emit('trouble', params.message) end
end

local restart

-- Runs in a fast context when the process ends.
local function on_exit(_, _, client_id)
  vim.schedule(function()
    if state.client_id ~= client_id then return end
    state.client_id = nil
    state.progress_sinks = {}
    emit('gone')
    if state.stopping then return end
    local now = now_ms()
    state.deaths = vim.tbl_filter(function(t) return now - t < restart_window_ms end, state.deaths)
    table.insert(state.deaths, now)
    if #state.deaths > max_restarts then
      state.given_up = true
      warn_once('the server ended ' .. #state.deaths .. ' times within a minute and is left alone; '
        .. ':checkhealth incipit says more, :Incipit restart tries again')
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
    on_init = function(client) emit('initialized', client) end,
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
  emit('attached', bufnr)
end

-- Starts the program and remembers its process: newer versions of Neovim do not tell which it is.
local function start_process(cmd)
  local before = {}
  for _, pid in ipairs(vim.api.nvim_get_proc_children(vim.fn.getpid())) do before[pid] = true end
  local ok, id = pcall(compat.start_client, client_config(cmd))
  if not ok or not id then return nil, ok and '' or ': ' .. tostring(id) end
  state.pid = nil
  for _, pid in ipairs(vim.api.nvim_get_proc_children(vim.fn.getpid())) do
    if not before[pid] then state.pid = pid end
  end
  return id
end

-- Starts the server if needed. Returns whether there is one.
function M.ensure_started()
  if M.get() then return true end
  if state.given_up then return false end
  local cmd, looked_at = config_module.server_command(state.config)
  if not cmd then
    state.given_up = true
    warn_once('the program was not found; looked for: ' .. table.concat(looked_at, ', ')
      .. '. Build it with `make demo`, or set cmd in setup{}.')
    return false
  end
  local id, why = start_process(cmd)
  if not id then
    state.given_up = true
    warn_once('could not start ' .. table.concat(cmd, ' ') .. why)
    return false
  end
  state.client_id = id
  return true
end

restart = function()
  if not M.ensure_started() then return end
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
  if M.ensure_started() then attach_one(bufnr) end
end

function M.detach(bufnr) state.buffers[bufnr] = nil end

-- Ends a server; one that hangs is killed, for it holds the memory of a model.
local function stop(client, pid)
  compat.call(client, 'stop')
  if not pid then return end
  vim.defer_fn(function()
    if vim.lsp.get_client_by_id(client.id) then compat.uv.kill(pid, 'sigkill') end
  end, patience_with_end_ms)
end

-- Ends the server, if it runs, and starts a fresh one.
function M.restart()
  local client, pid = M.get(), state.pid
  state.given_up, state.deaths, state.last_warning = false, {}, nil
  state.client_id = nil  -- so that on_exit of the old one is ignored
  if client then
    state.progress_sinks = {}
    emit('gone')
    stop(client, pid)
  end
  restart()
end

-- For :checkhealth, the status line and tests.
function M.describe()
  local client = M.get()
  return {
    running = client ~= nil,
    ready = client ~= nil and client.server_capabilities ~= nil,
    given_up = state.given_up,
    warning = state.last_warning,
    deaths = #state.deaths,
    client_id = state.client_id,
    pid = client and state.pid,
    buffers = vim.tbl_keys(state.buffers),
  }
end

return M
