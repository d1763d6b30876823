/* schema.json, for editors: JSON Schema draft-07, from the tables that the loader reads. */
#include "config/tables.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/base/units.h"
#include "router/input/input.h"
#include "router/output/output.h"

/* Any value may come from the environment. */
#define ENV "{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{[A-Za-z_][A-Za-z0-9_]*\\\\}\"}"
#define CLASS "{\"enum\":[\"ADMIN_ACTIVITY\",\"ADMIN_READ\",\"DATA_READ\",\"DATA_WRITE\"]}"
#define REF(name) "{\"$ref\":\"#/definitions/" name "\"}"
#define TEXT_LIST "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"

static const struct {
	const char *name, *json;
} definitions[] = {
	{ "env", ENV },
	{ "on_off", "{\"anyOf\":[{\"type\":\"boolean\"},{\"enum\":[\"on\",\"off\",\"yes\",\"no\"]}," REF("env") "]}" },
	{ "number", "{\"anyOf\":[{\"type\":\"integer\"}," REF("env") "]}" },
	{ "size", "{\"anyOf\":[{\"const\":0},{\"type\":\"string\",\"pattern\":"
		  "\"^(0|[0-9]+(B|[KMGT]iB|kB|[MGT]B))$\"}," REF("env") "]}" },
	{ "time", "{\"anyOf\":[{\"const\":0},{\"type\":\"string\",\"pattern\":\"^(0|([0-9]+(ms|s|m|h|d))+)$\"}," REF("env") "]}" },
	{ "text", "{\"type\":[\"string\",\"number\",\"boolean\"]}" },
	{ "texts", "{\"anyOf\":[" REF("text") ",{\"type\":\"array\",\"items\":" REF("text") "}]}" },
	{ "pairs", "{\"type\":\"object\",\"additionalProperties\":" REF("text") "}" },
	{ "class", "{\"anyOf\":[" CLASS "," REF("env") "]}" },
	{ "classes", "{\"anyOf\":[" REF("class") ",{\"type\":\"array\",\"minItems\":1,\"items\":" REF("class") "}]}" },
	{ "selector",
		"{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"users\":" TEXT_LIST
		",\"userGroups\":" TEXT_LIST ",\"verbs\":" TEXT_LIST ",\"namespaces\":" TEXT_LIST
		",\"nonResourceURLs\":" TEXT_LIST
		",\"resources\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"additionalProperties\":false,"
		"\"properties\":{\"group\":{\"type\":\"string\"},\"resources\":" TEXT_LIST ",\"resourceNames\":" TEXT_LIST
		"}}}}}" },
};

static json_t *schema_of_section(const struct section *section);

static json_t *parse(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);
	assert(value); /* a row's schema that is no JSON */
	return value;
}

static json_t *ref(const char *name)
{
	return json_pack("{s:s+}", "$ref", "#/definitions/", name);
}

static json_t *schema_of_choices(const char *const *choices)
{
	json_t *names = json_array();
	for (size_t i = 0; choices[i]; i++) {
		(void)json_array_append_new(names, json_string(choices[i]));
		if (strcmp(choices[i], "off") == 0)
			(void)json_array_append_new(names, json_false());
		int64_t number;
		if (units_parse_number(view_of(choices[i]), &number))
			(void)json_array_append_new(names, json_integer(number));
	}
	return json_pack("{s:[{s:o},o]}", "anyOf", "enum", names, ref("env"));
}

static json_t *schema_of_number(const struct setting *row)
{
	int64_t bound;
	json_t *integer = json_pack("{s:s}", "type", "integer");
	if (row->min && units_parse_number(view_of(row->min), &bound))
		(void)json_object_set_new(integer, "minimum", json_integer(bound));
	if (row->max && units_parse_number(view_of(row->max), &bound))
		(void)json_object_set_new(integer, "maximum", json_integer(bound));
	return json_pack("{s:[o,o]}", "anyOf", integer, ref("env"));
}

static json_t *schema_of_value(const struct setting *row)
{
	switch (row->type) {
	case SETTING_BOOL:
		return ref("on_off");
	case SETTING_INT:
		return schema_of_number(row);
	case SETTING_SIZE:
		return ref("size");
	case SETTING_TIME:
		return ref("time");
	case SETTING_TEXT:
	case SETTING_PATH:
		return ref("text");
	case SETTING_CHOICE:
		return schema_of_choices(row->choices);
	case SETTING_TEXTS:
		return ref("texts");
	case SETTING_PAIRS:
		return ref("pairs");
	case SETTING_CLASSES:
		return ref("classes");
	case SETTING_SECTION:
		return schema_of_section(row->section);
	case SETTING_VARIANT:
		return parse(row->schema);
	}
	return NULL;
}

/* What stands beside a $ref is not read in draft-07, so the help and the value each are one of allOf. */
static json_t *schema_of_row(const struct setting *row)
{
	struct buf help = { 0 };
	buf_addf(&help, "%s", row->help);
	if (row->initial)
		buf_addf(&help, " Default: %s.", row->initial);
	json_t *schema = json_pack("{s:s,s:[o]}", "description", buf_text(&help), "allOf", schema_of_value(row));
	buf_finish(&help);
	return schema;
}

static void add_properties(const struct section *section, json_t *properties, json_t *required)
{
	for (const struct setting *row = section->rows; row->key; row++) {
		(void)json_object_set_new(properties, row->key, schema_of_row(row));
		if (row->required)
			(void)json_array_append_new(required, json_string(row->key));
	}
}

static json_t *object_of(json_t *properties, json_t *required)
{
	json_t *schema = json_pack("{s:s,s:b,s:o}", "type", "object", "additionalProperties", 0, "properties", properties);
	if (json_array_size(required))
		(void)json_object_set(schema, "required", required);
	json_decref(required);
	return schema;
}

static json_t *schema_of_section(const struct section *section)
{
	json_t *properties = json_object(), *required = json_array();
	add_properties(section, properties, required);
	return object_of(properties, required);
}

/* What may stand as a type; YAML reads the word null as no text at all. */
static json_t *schema_of_type(const char *name)
{
	return strcmp(name, "null") == 0 ? json_pack("{s:[s,n]}", "enum", name) : json_pack("{s:s}", "const", name);
}

/* "if the type is NAME, then these are its keys". */
static json_t *schema_of_kind(const char *name, const char *help, const struct section *common,
	const struct section *own, const char *const *formats)
{
	json_t *properties = json_object(), *required = json_array();
	json_t *type = schema_of_type(name);
	(void)json_object_set_new(type, "description", json_string(help));
	(void)json_object_set_new(properties, "type", type);
	(void)json_array_append_new(required, json_string("type"));
	add_properties(common, properties, required);
	add_properties(own, properties, required);
	if (formats)
		(void)json_object_set_new(json_object_get(properties, "format"), "allOf",
			json_pack("[o]", schema_of_choices(formats)));
	else
		(void)json_object_del(properties, "format");
	return json_pack("{s:{s:{s:o}},s:o}", "if", "properties", "type", schema_of_type(name), "then",
		object_of(properties, required));
}

/* A map of names to kinds. */
static json_t *schema_of_kinds(json_t *names, json_t *kinds)
{
	return json_pack("{s:s,s:i,s:{s:s},s:{s:s,s:[s],s:{s:{s:o}},s:o}}", "type", "object", "minProperties", 1,
		"propertyNames", "pattern", "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}$", "additionalProperties", "type", "object",
		"required", "type", "properties", "type", "enum", names, "allOf", kinds);
}

static json_t *schema_of_inputs(void)
{
	json_t *names = json_array(), *kinds = json_array();
	for (size_t i = 0; input_registry[i]; i++) {
		const struct input_ops *ops = input_registry[i];
		(void)json_array_append_new(names, json_string(ops->name));
		(void)json_array_append_new(kinds,
			schema_of_kind(ops->name, ops->help, &config_input_section, ops->settings, NULL));
	}
	return schema_of_kinds(names, kinds);
}

static json_t *schema_of_outputs(void)
{
	json_t *names = json_array(), *kinds = json_array();
	for (size_t i = 0; output_registry[i]; i++) {
		const struct output_ops *ops = output_registry[i];
		(void)json_array_append_new(names, json_string(ops->name));
		if (strcmp(ops->name, "null") == 0)
			(void)json_array_append_new(names, json_null());
		(void)json_array_append_new(kinds,
			schema_of_kind(ops->name, ops->help, &config_output_section, ops->settings, ops->formats));
	}
	return schema_of_kinds(names, kinds);
}

void config_print_schema(struct buf *out)
{
	json_t *schema = json_pack("{s:s,s:s,s:s}", "$schema", "http://json-schema.org/draft-07/schema#", "title",
		"audit-router", "description", "Configuration of audit-router; see REFERENCE.md.");
	json_t *top = schema_of_section(&config_section), *defined = json_object();
	for (size_t i = 0; i < sizeof definitions / sizeof *definitions; i++)
		(void)json_object_set_new(defined, definitions[i].name, parse(definitions[i].json));
	(void)json_object_set_new(defined, "inputs", schema_of_inputs());
	(void)json_object_set_new(defined, "outputs", schema_of_outputs());
	(void)json_object_update(schema, top);
	(void)json_object_set_new(schema, "definitions", defined);
	char *text = json_dumps(schema, JSON_INDENT(2));
	assert(text);
	buf_addf(out, "%s\n", text);
	free(text);
	json_decref(top);
	json_decref(schema);
}
