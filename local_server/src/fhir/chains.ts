/** Chained search: `subject:Patient.name=x` forwards, `_has:Observation:subject:code=x` backwards. */
import type { Filter } from '@medplum/core';
import { badRequest, getSearchParameter, OperationOutcomeError, Operator, parseParameter } from '@medplum/core';
import type { ResourceType } from '@medplum/fhirtypes';
import type { Entry, Store } from '../store/store.ts';
import { condition } from './filters.ts';

interface Link {
  readonly code: string;
  /** The type that the link leads to. */
  readonly type: string;
  readonly reverse: boolean;
}

const MAX_LINKS = 3;

/** @throws Error for a chain that cannot be followed; the real server answers such with status 400. */
export function chainTest(store: Store, type: string, filter: Filter): (entry: Entry) => boolean {
  const links: Link[] = [];
  let last: Filter | undefined;
  let current = type;
  const parts = splitChain(filter.code);
  parts.forEach((part, i) => {
    if (part.startsWith('_has')) {
      links.push(reverseLink(part, current));
      current = links.at(-1)?.type ?? current;
    } else if (i === parts.length - 1) {
      last = lastFilter(current, part, filter);
    } else {
      links.push(forwardLink(part, current));
      current = links.at(-1)?.type ?? current;
    }
  });
  if (!last) {
    throw new OperationOutcomeError(badRequest('Unterminated chained search'));
  }
  if (links.length > MAX_LINKS) {
    throw new OperationOutcomeError(badRequest('Search chains longer than three links are not currently supported'));
  }
  const end = condition(store, current, last).test;
  return (entry) => follow(store, entry, links, end);
}

function follow(store: Store, entry: Entry, links: Link[], end: (entry: Entry) => boolean): boolean {
  const [link, ...rest] = links;
  if (!link) {
    return !entry.deleted && end(entry);
  }
  return neighbours(store, entry, link).some((next) => follow(store, next, rest, end));
}

function neighbours(store: Store, entry: Entry, link: Link): Entry[] {
  const result: Entry[] = [];
  if (link.reverse) {
    for (const id of store.column(link.type, link.code)?.having(`${entry.type}/${entry.id}`) ?? []) {
      result.push(store.get(link.type, id) as Entry);
    }
    return result;
  }
  for (const reference of store.column(entry.type, link.code)?.cell(entry.id).keys ?? []) {
    const [type, id] = reference.split('/');
    const target = type === link.type && id ? store.get(type, id) : undefined;
    if (target) {
      result.push(target);
    }
  }
  return result;
}

function lastFilter(type: string, part: string, filter: Filter): Filter {
  const [code = '', modifier] = part.split(':', 2);
  if (code === '_filter') {
    return { code, operator: Operator.EQUALS, value: filter.value };
  }
  const parameter = getSearchParameter(type, code);
  if (!parameter) {
    throw new Error(`Invalid search parameter at end of chain: ${type}?${code}`);
  }
  return parseParameter(parameter, Operator.EQUALS, modifier ?? filter.operator, filter.value);
}

function forwardLink(part: string, type: string): Link {
  const [code = '', modifier] = part.split(':', 2);
  const parameter = getSearchParameter(type, code);
  if (!parameter) {
    throw new Error(`Invalid search parameter in chain: ${type}?${code}`);
  }
  const target = parameter.target?.length === 1 ? parameter.target[0] : modifier;
  if (!target || !parameter.target?.includes(target as ResourceType)) {
    throw new Error(`Unable to identify next resource type for search parameter: ${type}?${code}`);
  }
  return { code, type: target, reverse: false };
}

function reverseLink(part: string, type: string): Link {
  const [, other = '', code = ''] = part.split(':', 3);
  const parameter = getSearchParameter(other, code);
  if (!parameter) {
    throw new Error(`Invalid search parameter in chain: ${other}?${code}`);
  }
  if (!parameter.target?.includes(type as ResourceType)) {
    throw new Error(`Invalid reverse chain link: search parameter ${other}?${code} does not refer to ${type}`);
  }
  return { code, type: other, reverse: true };
}

/** Splits at dots and after each `_has:Type:code`. */
function splitChain(code: string): string[] {
  const parts: string[] = [];
  let rest = code;
  while (rest) {
    if (rest.startsWith('_has:')) {
      const typeEnd = rest.indexOf(':', '_has:'.length);
      const codeEnd = rest.indexOf(':', typeEnd + 1);
      if (typeEnd < 0 || typeEnd >= codeEnd) {
        throw new Error(`Invalid search chain: ${rest}`);
      }
      parts.push(rest.slice(0, codeEnd));
      rest = rest.slice(codeEnd + 1);
    } else {
      const dot = rest.indexOf('.');
      parts.push(dot < 0 ? rest : rest.slice(0, dot));
      rest = dot < 0 ? '' : rest.slice(dot + 1);
    }
  }
  return parts;
}
