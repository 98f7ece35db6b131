/** Teaches @medplum/core the FHIR R4 types and search parameters from the text the build embeds. */
import type { Constraint, InternalTypeSchema } from '@medplum/core';
import { getAllDataTypes, globalSchema, indexDefaultSearchParameters, indexSearchParameter } from '@medplum/core';
import type { SearchParameter, StructureDefinition } from '@medplum/fhirtypes';
import text from 'medbots:schema';

interface Head {
  searchParameters: SearchParameter[];
  /** Resource type to the search parameters that tie it to a patient. */
  compartment: Record<string, string[]>;
  constraints: Constraint[];
}

let head: Head | undefined;

/**
 * Loads the definitions. Types become getters that parse themselves on first use: parsing all 750 of
 * them would be most of the start-up time and of the memory, and a server meets a few dozen.
 */
export function loadDefinitions(): void {
  if (head) {
    return;
  }
  const lines = text.split('\n');
  const loaded = JSON.parse(lines[0] ?? '{}') as Head;
  const types = getAllDataTypes() as Record<string, InternalTypeSchema>;
  const resources: StructureDefinition[] = [];
  for (const line of lines.slice(1)) {
    const tab = line.indexOf('\t');
    const name = line.slice(0, tab);
    const json = line.slice(tab + 1);
    Object.defineProperty(types, name, {
      configurable: true,
      enumerable: true,
      get() {
        const schema = parseType(json, loaded.constraints);
        Object.defineProperty(types, name, { value: schema, configurable: true, enumerable: true, writable: true });
        return schema;
      },
    });
    if (json.startsWith('{"name"') && json.includes('"kind":"resource"')) {
      resources.push({ resourceType: 'StructureDefinition', kind: 'resource', type: name } as StructureDefinition);
    }
  }
  indexDefaultSearchParameters(resources);
  for (const parameter of loaded.searchParameters) {
    indexSearchParameter(parameter);
  }
  head = loaded;
}

function parseType(json: string, constraints: Constraint[]): InternalTypeSchema {
  const schema = JSON.parse(json, (key, value: unknown) => {
    if (key === 'max' && value === '*') {
      return Number.POSITIVE_INFINITY;
    }
    if ((key === 'summaryProperties' || key === 'mandatoryProperties') && Array.isArray(value)) {
      return new Set(value);
    }
    return typeof value === 'string' && /^#\d+$/.test(value) ? constraints[Number(value.slice(1))] : value;
  }) as InternalTypeSchema;
  adopt(schema);
  return schema;
}

/** Inner types point back at their parent; the text cannot hold a circle, so it is drawn again here. */
function adopt(parent: InternalTypeSchema): void {
  for (const inner of parent.innerTypes ?? []) {
    inner.parentType = parent;
    adopt(inner);
  }
}

/** The search parameters that put a resource of this type into a patient's compartment. */
export function patientCompartmentParameters(resourceType: string): string[] {
  return head?.compartment[resourceType] ?? [];
}

/** The resource types of the patient compartment. */
export function patientCompartmentTypes(): string[] {
  return Object.keys(head?.compartment ?? {});
}

/** Names of all resource types that have search parameters, that is, all but Binary. */
export function searchableTypes(): string[] {
  return Object.keys(globalSchema.types);
}
