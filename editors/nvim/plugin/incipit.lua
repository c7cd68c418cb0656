-- Commands of incipit. Sourced by Neovim at start; what they do is loaded when first used.
if vim.g.loaded_incipit then return end
vim.g.loaded_incipit = true

if vim.fn.has('nvim-0.7') == 0 then
  vim.notify('incipit: Neovim 0.7 or newer is needed', vim.log.levels.WARN)
  return
end

local function command(name, callback, options)
  vim.api.nvim_create_user_command(name, callback, options)
end

command('IncipitExplain', function(event)
  -- `range` counts the given line numbers: 2 after a selection.
  require('incipit').explain(event.line1, event.line2, event.range == 2)
end, { range = true, desc = 'Explain the selected lines in a floating window' })

for name, what in pairs({
  IncipitDocument = { 'incipit.document', 'Write the documentation of the function around' },
  IncipitTests = { 'incipit.tests', 'Write tests of the selected lines' },
  IncipitFix = { 'incipit.fix', 'Fix the selected lines, with their diagnostics' },
}) do
  command(name, function(event) require('incipit').edit(what[1], event.line1, event.line2) end,
    { range = true, desc = what[2] })
end

command('IncipitRewrite', function(event)
  require('incipit').edit('incipit.rewrite', event.line1, event.line2, event.args)
end, { range = true, nargs = '+', desc = 'Rewrite the selected lines as the arguments say' })

-- Chosen from the list of code actions.
vim.lsp.commands['incipit.rewrite'] = function(action, context)
  require('incipit.edit').ask_and_rewrite(action, context)
end

command('IncipitStatus', function() require('incipit').status() end,
  { desc = 'Show what the incipit server says about itself' })

command('IncipitRestart', function() require('incipit').restart() end,
  { desc = 'End the incipit server and start a new one' })

command('IncipitToggle', function() require('incipit').toggle() end,
  { desc = 'Switch suggestions off or on' })
