(namespace_definition !body) @import
(namespace_use_declaration) @import
(expression_statement (require_once_expression)) @import
(expression_statement (require_expression)) @import
(function_definition name: (_) @name body: (_) @body) @function
(method_declaration name: (_) @name body: (_) @body) @function
(method_declaration name: (_) @name !body) @function
(class_declaration name: (_) @name body: (_) @body) @type
(interface_declaration name: (_) @name body: (_) @body) @type
(trait_declaration name: (_) @name body: (_) @body) @type
(enum_declaration name: (_) @name body: (_) @body) @type
(const_element (name) @name) @value
