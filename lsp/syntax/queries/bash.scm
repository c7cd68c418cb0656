(command name: (command_name (word) @_source) (#any-of? @_source "source" ".")) @import
(function_definition name: (_) @name body: (_) @body) @function
