-- :checkhealth incipit
local M = {}

local health = vim.health or require('health')
local start = health.start or health.report_start
local ok = health.ok or health.report_ok
local info = health.info or health.report_info
local warn = health.warn or health.report_warn
local failed = health.error or health.report_error

local function check_program(config)
  local config_module = require('incipit.config')
  local cmd, looked_at = config_module.server_command(config)
  if not cmd then
    failed('the program was not found; looked for: ' .. table.concat(looked_at, ', '), {
      'Build it: run `make demo` in the checkout of incipit.',
      "Or name it: require('incipit').setup { cmd = { '/path/to/incipit', 'lsp' } }",
    })
    return
  end
  local version = vim.fn.system({ cmd[1], '--version' })
  if vim.v.shell_error ~= 0 then
    failed(cmd[1] .. ' --version ended with ' .. vim.v.shell_error .. ': ' .. vim.trim(version))
    return
  end
  ok(cmd[1] .. ': ' .. vim.trim(version))
  local report = vim.split(vim.trim(vim.fn.system({ cmd[1], 'doctor' })), '\n')
  if vim.v.shell_error == 0 then
    ok('incipit doctor found no problem')
  else
    warn('incipit doctor found a problem:\n' .. table.concat(report, '\n'))
  end
end

local function check_server()
  local seen = require('incipit.client').describe()
  if seen.ready then
    ok('the server is running, ' .. #seen.buffers .. ' buffer(s) attached')
  elseif seen.running then
    info('the server is starting')
  elseif seen.given_up then
    failed('the server is not running: it could not be started, or ended too often',
      { ':IncipitRestart tries again', 'the log of the client: ' .. vim.lsp.get_log_path() })
  else
    info('the server starts with the first buffer of a chosen file type')
  end
end

function M.check()
  start('incipit')
  if vim.fn.has('nvim-0.7') == 0 then
    failed('Neovim 0.7 or newer is needed')
    return
  end
  local config = require('incipit').config()
  if not config then
    warn("require('incipit').setup{} was not called", { 'Call it in your init.lua.' })
    config = require('incipit.config').defaults
  end
  check_program(config)
  check_server()
end

return M
