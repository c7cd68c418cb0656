(preproc_include) @import
(using_declaration) @import
(function_definition declarator: (function_declarator declarator: (_) @name) body: (_) @body) @function
(function_definition declarator: (pointer_declarator declarator: (function_declarator declarator: (_) @name)) body: (_) @body) @function
(function_definition declarator: (reference_declarator (function_declarator declarator: (_) @name)) body: (_) @body) @function
(class_specifier name: (_) @name body: (_) @body) @type
(struct_specifier name: (_) @name body: (_) @body) @type
(union_specifier name: (_) @name body: (_) @body) @type
(enum_specifier name: (_) @name body: (_) @body) @type
(namespace_definition name: (_) @name body: (_) @body) @type
(alias_declaration name: (_) @name) @type
(declaration declarator: (function_declarator declarator: (identifier) @name)) @declaration
(declaration declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name))) @declaration
(preproc_def name: (_) @name) @value
(preproc_function_def name: (_) @name) @value
(declaration declarator: (reference_declarator (function_declarator declarator: (identifier) @name))) @declaration
(field_declaration declarator: (function_declarator declarator: (field_identifier) @name)) @declaration
