/**
 * A search parameter of one resource type, evaluated once per resource and kept: what a database column
 * and its index are to the real server. The rules of what goes into a cell follow its tables, since they
 * decide what a search finds (only the start of a period, names by word, tokens with and without system).
 */
import {
  convertToSearchableDates,
  convertToSearchableNumbers,
  convertToSearchableQuantities,
  convertToSearchableReferences,
  convertToSearchableStrings,
  convertToSearchableTokens,
  convertToSearchableUris,
  evalFhirPathTyped,
  formatAddress,
  formatFamilyName,
  formatGivenName,
  formatHumanName,
  getSearchParameterDetails,
  PropertyType,
  SearchParameterType,
  toTypedValue,
} from '@medplum/core';
import type { Address, HumanName, Resource, SearchParameter } from '@medplum/fhirtypes';

export type CellValue = string | number | boolean;

export interface Cell {
  /** What equality is asked of; for tokens see `tokenKeys`. */
  readonly keys: readonly string[];
  readonly values: readonly CellValue[];
  readonly sort: CellValue | undefined;
}

/** How a parameter is searched: `token` knows systems, `words` is names and addresses, `code` plain text. */
export type ColumnKind = 'token' | 'words' | 'string' | 'code' | 'reference' | 'boolean' | 'date' | 'instant' | 'number';

const EMPTY_CELL: Cell = { keys: [], values: [], sort: undefined };

const NAME_PARAMETERS = new Set([
  'individual-given',
  'individual-family',
  'Patient-name',
  'Person-name',
  'Practitioner-name',
  'RelatedPerson-name',
]);
const TOKEN_TYPES: string[] = [PropertyType.Identifier, PropertyType.CodeableConcept, PropertyType.Coding];
const TEXT_SYSTEM = 'text';

export class Column {
  readonly kind: ColumnKind;
  readonly array: boolean;
  private readonly cells = new Map<string, Cell>();
  private readonly index = new Map<string, Set<string>>();
  private readonly details;
  private readonly caseInsensitive: boolean;

  constructor(
    readonly resourceType: string,
    readonly parameter: SearchParameter
  ) {
    this.details = getSearchParameterDetails(resourceType, parameter);
    const types = this.details.elementDefinitions?.flatMap((e) => e.type?.map((t) => t.code) ?? []) ?? [];
    this.caseInsensitive = types.includes(PropertyType.ContactPoint);
    this.array = this.details.array ?? false;
    this.kind = this.findKind(types);
  }

  private findKind(types: string[]): ColumnKind {
    const { parameter, details } = this;
    if (parameter.type === 'token') {
      const systems = parameter.code.endsWith(':identifier') || types.some((t) => TOKEN_TYPES.includes(t));
      if (systems || this.caseInsensitive) {
        return 'token';
      }
    }
    if (NAME_PARAMETERS.has(parameter.id as string) || types.includes(PropertyType.Address)) {
      return 'words';
    }
    switch (details.type) {
      case SearchParameterType.BOOLEAN:
        return 'boolean';
      case SearchParameterType.DATE:
        return 'date';
      case SearchParameterType.DATETIME:
        return 'instant';
      default:
    }
    switch (parameter.type) {
      case 'reference':
        return 'reference';
      case 'string':
        return 'string';
      case 'number':
      case 'quantity':
        return 'number';
      default:
        return 'code';
    }
  }

  put(id: string, resource: Resource): void {
    this.drop(id);
    const cell = this.evaluate(resource);
    this.cells.set(id, cell);
    for (const key of cell.keys) {
      let ids = this.index.get(key);
      if (!ids) {
        ids = new Set();
        this.index.set(key, ids);
      }
      ids.add(id);
    }
  }

  drop(id: string): void {
    for (const key of this.cells.get(id)?.keys ?? []) {
      const ids = this.index.get(key);
      ids?.delete(id);
      if (ids?.size === 0) {
        this.index.delete(key);
      }
    }
    this.cells.delete(id);
  }

  cell(id: string): Cell {
    return this.cells.get(id) ?? EMPTY_CELL;
  }

  /** Ids of the resources that have the key. */
  having(key: string): ReadonlySet<string> | undefined {
    return this.index.get(key);
  }

  /** The key that a search value asks for: `system|value`, `system|`, `|value` or `value`. */
  keyOf(value: string): string {
    if (this.kind !== 'token') {
      return value;
    }
    const bar = value.indexOf('|');
    const code = this.caseInsensitive ? value.slice(bar + 1).toLocaleLowerCase() : value.slice(bar + 1);
    return bar < 0 ? code : `${value.slice(0, bar)}|${code}`;
  }

  private evaluate(resource: Resource): Cell {
    const typed = evalFhirPathTyped(this.details.parsedExpression, [toTypedValue(resource)]);
    switch (this.kind) {
      case 'token':
        return this.tokenCell(typed);
      case 'words':
        return wordCell(this.parameter.code, typed.map((t) => t.value as HumanName | Address));
      case 'boolean': {
        const value: unknown = typed[0]?.value;
        return value === undefined || value === null ? EMPTY_CELL : plain([value === true || value === 'true']);
      }
      case 'date':
        return plain(present(convertToSearchableDates(typed).map((p) => (p.start ?? p.end)?.slice(0, 10))));
      case 'instant':
        return plain(present(convertToSearchableDates(typed).map((p) => instant(p.start ?? p.end))));
      case 'number':
        return this.parameter.type === 'quantity'
          ? plain(present(convertToSearchableQuantities(typed).map((q) => q.value)))
          : plain(present(convertToSearchableNumbers(typed).map(([low, high]) => low ?? high)));
      case 'reference':
        return keyed(present(convertToSearchableReferences(typed)));
      case 'string':
        return plain(present(convertToSearchableStrings(typed)));
      default:
        return this.parameter.type === 'uri'
          ? keyed(present(convertToSearchableUris(typed)))
          : keyed(present(convertToSearchableTokens(typed).map((t) => t.value)));
    }
  }

  private tokenCell(typed: Parameters<typeof convertToSearchableTokens>[0]): Cell {
    const tokens = convertToSearchableTokens(typed, {
      caseInsensitive: this.caseInsensitive,
      textSearchSystem: TEXT_SYSTEM,
    });
    const keys = new Set<string>();
    const texts: string[] = [];
    for (const { system, value } of tokens) {
      if (system === TEXT_SYSTEM) {
        // Display and text are found like codes, but under no system.
        keys.add(value ?? '');
        texts.push(value ?? '');
        continue;
      }
      if (value) {
        keys.add(value);
        keys.add(`${system ?? ''}|${value}`);
        texts.push(value);
      }
      if (system) {
        keys.add(`${system}|`);
      }
    }
    return { keys: [...keys], values: texts, sort: tokens.map((t) => t.value ?? '').sort()[0] };
  }
}

/** Milliseconds since 1970 of a FHIR date or time, UTC where it names no zone. */
export function instant(text: string | undefined): number | undefined {
  if (!text) {
    return undefined;
  }
  const ms = Date.parse(/T/.test(text) && !/(Z|[+-]\d\d:\d\d)$/.test(text) ? `${text}Z` : text);
  return Number.isNaN(ms) ? undefined : ms;
}

function present<T>(values: (T | undefined | null)[]): T[] {
  return values.filter((v): v is T => v !== undefined && v !== null);
}

function plain(values: CellValue[]): Cell {
  return { keys: [], values, sort: values[0] };
}

function keyed(values: string[]): Cell {
  return { keys: [...new Set(values)], values, sort: values[0] };
}

function wordCell(code: string, values: (HumanName | Address | string)[]): Cell {
  const texts = present(values.map((value) => wordText(code, value))).filter((t) => t !== '');
  return { keys: [], values: texts, sort: [...texts].sort()[0] };
}

function wordText(code: string, value: HumanName | Address | string): string | undefined {
  if (typeof value === 'string') {
    return value;
  }
  if (code === 'given') {
    return formatGivenName(value as HumanName);
  }
  if (code === 'family') {
    return formatFamilyName(value as HumanName);
  }
  if (code.startsWith('address')) {
    return formatAddress(value as Address);
  }
  const name = value as HumanName;
  return [formatHumanName(name), name.text].filter(Boolean).join(' ');
}
