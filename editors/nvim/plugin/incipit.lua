-- Commands of incipit. Sourced by Neovim at start; what they do is loaded when first used.
if vim.g.loaded_incipit then return end
vim.g.loaded_incipit = true

if vim.fn.has('nvim-0.7') == 0 then
  vim.notify('incipit: Neovim 0.7 or newer is needed', vim.log.levels.WARN)
  return
end

vim.api.nvim_create_user_command('Incipit', function(event) require('incipit.commands').run(event) end, {
  range = true, nargs = '*', desc = 'incipit: explain, docs, tests, fix, rewrite, chat, status, log, restart, …',
  complete = function(...) return require('incipit.commands').complete(...) end,
})

-- The names from before there was one command for all.
local function alias(name, subcommand, options)
  vim.api.nvim_create_user_command(name, function(event)
    event.args = vim.trim(subcommand .. ' ' .. event.args)
    require('incipit.commands').run(event)
  end, vim.tbl_extend('force', { desc = ':Incipit ' .. subcommand }, options))
end

alias('IncipitExplain', 'explain', { range = true })
alias('IncipitDocument', 'docs', { range = true })
alias('IncipitTests', 'tests', { range = true })
alias('IncipitFix', 'fix', { range = true })
alias('IncipitRewrite', 'rewrite', { range = true, nargs = '+' })
alias('IncipitStatus', 'status', {})
alias('IncipitRestart', 'restart', {})
alias('IncipitToggle', 'toggle', {})

-- Chosen from the list of code actions.
vim.lsp.commands['incipit.rewrite'] = function(action, context)
  require('incipit.edit').ask_and_rewrite(action, context)
end
