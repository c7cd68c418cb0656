(variable_declaration (assignment_statement (expression_list value: (function_call name: (identifier) @_require))) (#eq? @_require "require")) @import
(function_declaration name: (_) @name parameters: (_) body: (_) @body) @function
(assignment_statement (variable_list name: (_) @name) (expression_list value: (function_definition body: (_) @body))) @function
