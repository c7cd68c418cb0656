-- incipit for Neovim 0.7 and newer: ghost text from the language model inside the incipit server, explanations, edits and a
-- chat. See :help incipit.
local config_module = require('incipit.config')
local client = require('incipit.client')
local completion = require('incipit.completion')

local M = {}

local api = vim.api
local config = nil

local function attach_if_wanted(bufnr)
  if api.nvim_buf_is_loaded(bufnr) and not config_module.why_left_alone(config, bufnr) then
    client.attach(bufnr)
  end
end

local function watch_buffers()
  local group = api.nvim_create_augroup('incipit', { clear = true })
  api.nvim_create_autocmd({ 'FileType', 'BufFilePost' }, {
    group = group, callback = function(event) attach_if_wanted(event.buf) end,
  })
  api.nvim_create_autocmd('BufUnload', {
    group = group, callback = function(event) client.detach(event.buf) end,
  })
  for _, bufnr in ipairs(api.nvim_list_bufs()) do attach_if_wanted(bufnr) end
end

function M.setup(user)
  local complaints
  config, complaints = config_module.resolve(user)
  for _, complaint in ipairs(complaints) do
    vim.notify('incipit: ' .. complaint, vim.log.levels.WARN)
  end
  config_module.make_help_tags()
  client.setup(config)
  require('incipit.server_state').setup(function() return not completion.enabled() end)
  require('incipit.stream').setup()
  completion.setup(config)
  require('incipit.cursor').setup()
  require('incipit.keys').setup(config.keys)
  require('incipit.float').setup(config)
  require('incipit.chat').setup(config)
  watch_buffers()
end

-- The configuration in force, or nil before setup().
function M.config() return config end

-- For own key mappings; each returns whether there was a suggestion.
function M.accept() return completion.run('accept') end
function M.accept_word() return completion.run('accept_word') end
function M.accept_line() return completion.run('accept_line') end
function M.next() return completion.run('next') end
function M.previous() return completion.run('previous') end
function M.dismiss() return completion.run('dismiss') end
function M.trigger() completion.run('trigger') end
function M.visible() return completion.visible() end

function M.explain(line1, line2, selected) require('incipit.explain').explain(line1, line2, selected) end

-- Each of `incipit.document`, `incipit.tests`, `incipit.fix`, `incipit.rewrite` for lines, 1-based.
function M.edit(command, line1, line2, instruction)
  require('incipit.edit').run(command, line1, line2, instruction)
end

-- `lines` is nil or { line1, line2 }, code of the current buffer to attach; a `message` is sent at once.
function M.chat(lines, message)
  if not config then return vim.notify("incipit: require('incipit').setup{} was not called", vim.log.levels.WARN) end
  require('incipit.chat').open(lines, message)
end

-- Cancels what the model is writing for a command.
function M.stop()
  local stopped = require('incipit.edit').stop()
  stopped = require('incipit.chat').stop() or stopped
  stopped = require('incipit.explain').stop() or stopped
  if not stopped then vim.notify('incipit: nothing is being written') end
end

function M.restart() client.restart() end
function M.status() require('incipit.status').show() end

-- Opens the log, at its end: the server's own if cmd names one, else Neovim's, which has what the server prints.
function M.log()
  local path = require('incipit.compat').log_path()
  for i, argument in ipairs(config and config.cmd or {}) do
    path = argument:match('^%-%-log%-file=(.+)') or (argument == '--log-file' and config.cmd[i + 1]) or path
  end
  vim.cmd('split ' .. vim.fn.fnameescape(path))
  vim.bo.autoread = true
  vim.cmd('normal! G')
end

-- Switches suggestions off and on again; the server keeps running.
function M.toggle()
  completion.set_enabled(not completion.enabled())
  require('incipit.server_state').tell()
  vim.notify('incipit: suggestions are ' .. (completion.enabled() and 'on' or 'off'))
end

-- For status lines: a short text, and { name, percent, message } behind it.
function M.statusline(options) return require('incipit.server_state').statusline(options) end
function M.state() return require('incipit.server_state').get() end

return M
