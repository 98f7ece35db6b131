import { bySeverity, type Finding, merged } from './finding.ts';
import type { Ingredients } from './ingredients.ts';
import { PairRules } from './interactions.ts';
import type { Taken } from './medications.ts';
import type { DecisionRules } from './rules.ts';
import { type IngredientClass, SEVERITIES, type Severity } from './tables.ts';

export interface Duplicate extends Finding {
  kind: 'DUPTHPY';
  /** Whether one ingredient is taken twice, or two of one class. */
  of: 'ingredient' | 'class';
  /** The ingredient, or the class in words. */
  name: string;
}

/** One treatment, which may be recorded several times. */
interface Therapy {
  ingredients: ReadonlySet<string>;
  records: Taken[];
}

type Rules = Pick<DecisionRules, 'classes' | 'duplicatesOff' | 'interactions'>;

/**
 * Treatments of which a patient has two.
 *
 * A statement and a request of the same product, and records that refer to one another, are one treatment recorded
 * twice. Two of a class that interact by a rule of their own are reported there.
 */
export function duplicatesOf(taken: readonly Taken[], rules: Rules, ingredients: Ingredients): Duplicate[] {
  const therapies = therapiesOf(taken);
  const names = namesOf(therapies);
  const interacting = new PairRules(names, rules.interactions, ingredients);
  const found: Duplicate[] = [];
  for (const name of names) {
    const several = therapies.filter((therapy) => therapy.ingredients.has(name));
    if (several.length > 1 && !rules.duplicatesOff.includes(name)) {
      found.push(
        duplicate('ingredient', name, name, severityOf(name, rules.classes, ingredients), recordsOf(several, [name]))
      );
    }
  }
  for (const { code, display, duplicate: severity } of rules.classes) {
    if (severity !== undefined && !rules.duplicatesOff.includes(`#${code}`)) {
      const ofClass = names.filter((name) => ingredients.classesOf(name).includes(code));
      const doubled = doubledOf(ofClass, therapies, interacting);
      if (doubled.length > 0) {
        found.push(duplicate('class', code, display, severity, recordsOf(therapies, doubled)));
      }
    }
  }
  return merged(found);
}

/** Of some ingredients, those of which two are taken in different treatments, without an interaction of their own. */
function doubledOf(names: readonly string[], therapies: readonly Therapy[], interacting: PairRules): string[] {
  const doubled = names.flatMap((one, index) =>
    names
      .slice(index + 1)
      .filter((other) => interacting.of(one, other) === undefined && areApart(one, other, therapies))
      .flatMap((other) => [one, other])
  );
  return [...new Set(doubled)];
}

/** Whether two ingredients come from two treatments; the parts of one combination do not. */
function areApart(one: string, other: string, therapies: readonly Therapy[]): boolean {
  const concerned = therapies.filter(({ ingredients }) => ingredients.has(one) || ingredients.has(other));
  return !concerned.every(({ ingredients }) => ingredients.has(one) && ingredients.has(other));
}

function duplicate(
  of: Duplicate['of'],
  rule: string,
  name: string,
  severity: Severity,
  records: readonly Taken[]
): Duplicate {
  return {
    kind: 'DUPTHPY',
    rule: `${of}:${rule}`,
    severity,
    title: `${name}: ${of === 'ingredient' ? 'the same ingredient twice' : 'two of one class'}`,
    detail:
      of === 'ingredient'
        ? `More than one current medication holds ${name}. Check whether both are meant, and the total dose.`
        : `More than one current medication is of the class: ${name}. Check whether both are meant.`,
    implicated: records.map(({ reference }) => reference).sort(),
    of,
    name,
  };
}

/** That of its gravest class; moderate for an ingredient of none. */
function severityOf(name: string, classes: readonly IngredientClass[], ingredients: Ingredients): Severity {
  const own = ingredients.classesOf(name);
  const severities = classes.filter(({ code }) => own.includes(code)).flatMap(({ duplicate: each }) => each ?? []);
  return severities.map((severity) => ({ severity })).sort(bySeverity)[0]?.severity ?? SEVERITIES[1];
}

function recordsOf(therapies: readonly Therapy[], names: readonly string[]): Taken[] {
  return therapies
    .flatMap(({ records }) => records)
    .filter(({ ingredients }) => ingredients.some((each) => names.includes(each)));
}

function namesOf(therapies: readonly Therapy[]): string[] {
  return [...new Set(therapies.flatMap(({ ingredients }) => [...ingredients]))].sort();
}

/** Records that are about the same treatment, put together. */
function therapiesOf(taken: readonly Taken[]): Therapy[] {
  const groups: Taken[][] = [];
  for (const record of taken) {
    const same = groups.filter((group) => group.some((each) => areSame(each, record)));
    for (const group of same) {
      groups.splice(groups.indexOf(group), 1);
    }
    groups.push([...same.flat(), record]);
  }
  return groups.map((records) => ({
    ingredients: new Set(records.flatMap(({ ingredients }) => ingredients)),
    records,
  }));
}

function areSame(one: Taken, other: Taken): boolean {
  const linked = one.links.includes(other.reference) || other.links.includes(one.reference);
  const ordered = one.resourceType === 'MedicationRequest' && other.resourceType === 'MedicationRequest';
  return linked || (!ordered && one.product !== '' && one.product === other.product);
}
