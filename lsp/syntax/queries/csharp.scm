(using_directive) @import
(file_scoped_namespace_declaration) @import
(method_declaration name: (_) @name body: (_) @body) @function
(method_declaration name: (_) @name !body) @function
(constructor_declaration name: (_) @name body: (_) @body) @function
(local_function_statement name: (_) @name body: (_) @body) @function
(class_declaration name: (_) @name body: (_) @body) @type
(struct_declaration name: (_) @name body: (_) @body) @type
(interface_declaration name: (_) @name body: (_) @body) @type
(enum_declaration name: (_) @name body: (_) @body) @type
(record_declaration name: (_) @name body: (_) @body) @type
(record_declaration name: (_) @name !body) @type
(delegate_declaration name: (_) @name) @type
(namespace_declaration name: (_) @name body: (_) @body) @type
; properties, for those who look from other files
(property_declaration name: (_) @name accessors: (_) @body) @value
(property_declaration name: (_) @name !accessors value: (_) @body) @value
