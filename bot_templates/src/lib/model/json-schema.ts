import { isObject } from '../input.ts';

/** The part of JSON Schema in which the bots say what a model must answer. */
export type JsonSchema =
  | {
      type: 'object';
      properties: Record<string, JsonSchema>;
      required: readonly string[];
      additionalProperties: false;
      description?: string;
    }
  | { type: 'array'; items: JsonSchema; minItems?: number; maxItems?: number; description?: string }
  | { type: 'string'; enum?: readonly string[]; pattern?: string; maxLength?: number; description?: string }
  | { type: 'number' | 'integer'; minimum?: number; maximum?: number; description?: string }
  | { type: 'boolean'; description?: string };

/**
 * Where a value breaks a schema.
 * @returns The path and the rule, such as `sentences[2].text: must be a string`, without anything of the value itself;
 * undefined when it conforms.
 */
export function violation(value: unknown, schema: JsonSchema, path = 'answer'): string | undefined {
  switch (schema.type) {
    case 'object':
      return objectViolation(value, schema, path);
    case 'array':
      return arrayViolation(value, schema, path);
    case 'string':
      return stringViolation(value, schema, path);
    case 'boolean':
      return typeof value === 'boolean' ? undefined : `${path}: must be true or false`;
    default:
      return numberViolation(value, schema, path);
  }
}

type Of<T extends JsonSchema['type']> = Extract<JsonSchema, { type: T }>;

function objectViolation(value: unknown, schema: Of<'object'>, path: string): string | undefined {
  if (!isObject(value)) {
    return `${path}: must be an object`;
  }
  const missing = schema.required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) {
    return `${path}.${missing}: is missing`;
  }
  const unknown = Object.keys(value).some((name) => !Object.hasOwn(schema.properties, name));
  if (unknown) {
    return `${path}: has a field that is not asked for`;
  }
  return firstOf(
    Object.entries(schema.properties)
      .filter(([name]) => Object.hasOwn(value, name))
      .map(
        ([name, property]) =>
          () =>
            violation(value[name], property, `${path}.${name}`)
      )
  );
}

function arrayViolation(value: unknown, schema: Of<'array'>, path: string): string | undefined {
  if (!Array.isArray(value)) {
    return `${path}: must be an array`;
  }
  if (value.length < (schema.minItems ?? 0) || value.length > (schema.maxItems ?? Number.POSITIVE_INFINITY)) {
    return `${path}: has too few or too many items`;
  }
  return firstOf(value.map((item, index) => () => violation(item, schema.items, `${path}[${index}]`)));
}

function stringViolation(value: unknown, schema: Of<'string'>, path: string): string | undefined {
  if (typeof value !== 'string') {
    return `${path}: must be a string`;
  }
  if (schema.enum && !schema.enum.includes(value)) {
    return `${path}: must be one of ${schema.enum.join(', ')}`;
  }
  if (schema.pattern !== undefined && !new RegExp(schema.pattern).test(value)) {
    return `${path}: must match ${schema.pattern}`;
  }
  return value.length > (schema.maxLength ?? Number.POSITIVE_INFINITY) ? `${path}: is too long` : undefined;
}

function numberViolation(value: unknown, schema: Of<'number' | 'integer'>, path: string): string | undefined {
  const fits = schema.type === 'integer' ? Number.isInteger(value) : Number.isFinite(value);
  if (!fits) {
    return `${path}: must be ${schema.type === 'integer' ? 'a whole number' : 'a number'}`;
  }
  const number = value as number;
  const within =
    number >= (schema.minimum ?? Number.NEGATIVE_INFINITY) && number <= (schema.maximum ?? Number.POSITIVE_INFINITY);
  return within ? undefined : `${path}: is out of bounds`;
}

function firstOf(checks: readonly (() => string | undefined)[]): string | undefined {
  for (const check of checks) {
    const found = check();
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}
