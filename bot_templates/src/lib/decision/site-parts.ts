import { BotFailure } from '../failure.ts';
import type { Fields } from '../fields.ts';
import type { DecisionRules, SiteChanges } from './rules.ts';
import type { Side } from './tables.ts';

/** What the parts of a site's policy have in common. Lengths in characters. */
export const MOST = 500;
export const NAME = 120;
export const TEXT = 1_000;

/** The rules without those that `off` names. */
export function withoutOff<T extends { id: string }>(
  rules: readonly T[],
  part: Fields | undefined,
  name: string,
  site: SiteChanges
): T[] {
  const off = part?.texts('off', MOST, NAME) ?? [];
  for (const id of off) {
    refuseIf(!rules.some((rule) => rule.id === id), `${name}.off`, 'names a rule that does not exist', id);
  }
  site.switchedOff += off.length;
  return rules.filter(({ id }) => !off.includes(id));
}

/** The rules with those of `change` changed. */
export function changedBy<T extends { id: string }>(
  rules: readonly T[],
  part: Fields | undefined,
  name: string,
  site: SiteChanges,
  change: (rule: T, fields: Fields) => T
): T[] {
  const changed = [...rules];
  for (const fields of part?.objects('change', MOST) ?? []) {
    const id = fields.present('id', fields.text('id', NAME));
    const index = changed.findIndex((rule) => rule.id === id);
    refuseIf(index < 0, `${name}.change`, 'names a rule that does not exist', id);
    changed[index] = change(changed[index] as T, fields);
    fields.done();
    site.changed++;
  }
  return changed;
}

export function newId(fields: Fields, name: string, taken: readonly string[]): string {
  const id = fields.present(name, fields.text(name, NAME));
  refuseIf(!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(id), name, 'must be of small letters, digits and single hyphens');
  refuseIf(taken.includes(id), name, 'names a rule that is there already', id);
  return id;
}

export function sides(fields: Fields, name: string, rules: DecisionRules): Side[] {
  return fields.present(name, optionalSides(fields, name, rules));
}

/** Ingredients by name and classes as `#code`, all of them known. */
export function optionalSides(fields: Fields, name: string, rules: DecisionRules): Side[] | undefined {
  const given = fields.texts(name, MOST, NAME);
  for (const side of given ?? []) {
    const known = side.startsWith('#')
      ? rules.classes.some(({ code }) => `#${code}` === side)
      : rules.ingredients.some((each) => each.name === side);
    refuseIf(!known, name, 'names no ingredient and no #class', side);
  }
  return given;
}

export /** @throws BotFailure NOT_CONFIGURED, with the value only where it is a plain name. */
function refuseIf(wrong: boolean, field: string, rule: string, value?: string): void {
  if (wrong) {
    const shown = value !== undefined && /^[\w#' -]{1,80}$/.test(value) ? `: ${value}` : '';
    throw new BotFailure('NOT_CONFIGURED', `${field} ${rule}${shown}`, { field });
  }
}
