-- What the server is doing, remembered so that a status line can be drawn without asking: loading, ready, generating,
-- paused, error, stopped. Every change redraws the status lines and fires the autocommand `User IncipitState`.
local client = require('incipit.client')
local compat = require('incipit.compat')

local M = {}

local api = vim.api

-- The methods behind which the model works.
local work = { 'textDocument/inlineCompletion', 'workspace/executeCommand' }

local model = { phase = 'loading', percent = nil, message = nil }
local is_paused = function() return false end
local last_told = nil

-- { name, percent or nil, message or nil }
function M.get()
  local seen = client.describe()
  if seen.given_up then return { name = 'error', message = seen.warning } end
  if not seen.running then return { name = 'stopped' } end
  if model.phase ~= 'ready' then
    return { name = model.phase, percent = model.percent, message = model.message }
  end
  for _, method in ipairs(work) do
    local _, n_wanted = client.unanswered(method)
    if n_wanted > 0 then return { name = 'generating' } end
  end
  return { name = is_paused() and 'paused' or 'ready' }
end

local words = { loading = '', ready = '', generating = ' …', paused = ' off', error = ' !' }

-- One short text. `options.escaped` doubles percent signs, for status lines that read the text once more.
function M.statusline(options)
  local now = M.get()
  if now.name == 'stopped' then return '' end
  local text = 'incipit' .. words[now.name]
  if now.name == 'loading' then text = 'incipit ' .. (now.percent and now.percent .. '%' or '…') end
  if options and options.escaped then text = text:gsub('%%', '%%%%') end
  return text
end

-- Redraws if there is something new to say.
function M.tell()
  local now = M.get()
  local told = now.name .. (now.percent or '')
  if told == last_told then return end
  last_told = told
  api.nvim_exec_autocmds('User', { pattern = 'IncipitState', modeline = false })
  vim.cmd('redrawstatus!')
end

local function set(phase, percent, message)
  model.phase, model.percent, model.message = phase, percent, message
  M.tell()
end

-- Loading is reported as it goes on; whether it went well is asked for.
local function ask()
  client.request(api.nvim_get_current_buf(), 'incipit/status', vim.empty_dict(), function(err, status)
    if err or type(status) ~= 'table' then return set('ready') end  -- a server that does not know the question
    if status.state == 'failed' then return set('error', nil, status.message) end
    local percent = type(status.loadFraction) == 'number' and math.floor(status.loadFraction * 100) or nil
    set(status.state == 'loading' and 'loading' or 'ready', percent)
  end)
end

local function on_load_progress(value)
  if type(value) ~= 'table' then return end
  if value.kind == 'end' then return ask() end
  set('loading', value.percentage or model.percent)
end

-- `paused` says whether the user has switched suggestions off.
function M.setup(paused)
  is_paused = paused
  client.on('initialized', function() vim.schedule(ask) end)
  client.on('load_progress', on_load_progress)
  client.on('trouble', ask)
  client.on('gone', function() set('loading') end)
  local group = api.nvim_create_augroup('incipit_state', { clear = true })
  compat.on_request_change(group, vim.schedule_wrap(M.tell))
end

return M
