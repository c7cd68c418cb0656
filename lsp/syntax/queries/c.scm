(preproc_include) @import
(function_definition declarator: (function_declarator declarator: (_) @name) body: (_) @body) @function
(function_definition declarator: (pointer_declarator declarator: (function_declarator declarator: (_) @name)) body: (_) @body) @function
(struct_specifier name: (_) @name body: (_) @body) @type
(union_specifier name: (_) @name body: (_) @body) @type
(enum_specifier name: (_) @name body: (_) @body) @type
(type_definition declarator: (type_identifier) @name) @type
(declaration declarator: (function_declarator declarator: (identifier) @name)) @declaration
(declaration declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name))) @declaration
(preproc_def name: (_) @name) @value
(preproc_function_def name: (_) @name) @value
