(package_header) @import
(import) @import
(function_declaration name: (_) @name (function_body) @body) @function
(function_declaration name: (_) @name) @function
(class_declaration name: (_) @name (class_body) @body) @type
(class_declaration name: (_) @name (enum_class_body) @body) @type
(class_declaration name: (_) @name) @type
(object_declaration name: (_) @name (class_body) @body) @type
(companion_object "companion" @name (class_body) @body) @type
(type_alias type: (_) @name) @type
(source_file (property_declaration (variable_declaration (identifier) @name)) @value)
