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
  local compat = require('incipit.compat')
  local cmd, looked_at = config_module.server_command(config)
  if not cmd then
    failed('the program was not found; looked for: ' .. table.concat(looked_at, ', '), {
      'Build it: run `make demo` in the checkout of incipit.',
      "Or name it: require('incipit').setup { cmd = { '/path/to/incipit', 'lsp' } }",
    })
    return
  end
  local code, version = compat.run({ cmd[1], '--version' }, 10000)
  if code ~= 0 then
    failed(cmd[1] .. ' --version ended with ' .. code .. ': ' .. vim.trim(version))
    return
  end
  ok(cmd[1] .. ': ' .. vim.trim(version))
  local problem, report = compat.run({ cmd[1], 'doctor' }, 60000)
  if problem == 0 then
    ok('incipit doctor found no problem')
  else
    warn('incipit doctor found a problem:\n' .. vim.trim(report))
  end
end

local function check_server()
  local seen = require('incipit.client').describe()
  if seen.ready then
    ok('the server is running, ' .. #seen.buffers .. ' buffer(s) attached')
    local now = require('incipit').state()
    if now.name == 'error' then
      failed('the model cannot be used: ' .. tostring(now.message))
    else
      ok('the model: ' .. now.name .. (now.percent and ' ' .. now.percent .. '%' or ''))
    end
  elseif seen.running then
    info('the server is starting')
  elseif seen.given_up then
    failed('the server is not running: it could not be started, or ended too often', {
      ':Incipit restart tries again', 'the log of the client: ' .. require('incipit.compat').log_path(),
    })
  else
    info('the server starts with the first buffer of a chosen file type')
  end
end

local function check_display(config)
  info('suggestions are drawn ' .. require('incipit.completion').describe())
  for name, lhs in pairs(require('incipit.keys').taken_by_others(config.keys)) do
    warn(string.format('the key %s (keys.%s) was mapped to something else after setup{}', lhs, name),
      { "Choose another in setup { keys = … }, or call require('incipit')." .. name .. '() from that mapping' })
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
    check_program(require('incipit.config').defaults)
    return
  end
  check_program(config)
  check_server()
  check_display(config)
end

return M
