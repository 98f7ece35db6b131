import type { AllergyIntolerance, CodeableConcept } from '@medplum/fhirtypes';
import { bySeverity, type Finding, merged } from './finding.ts';
import { Dictionary, type Ingredients, plainWords } from './ingredients.ts';
import type { Taken } from './medications.ts';
import type { AllergyGroup, Severity } from './tables.ts';

export interface AllergyConflict extends Finding {
  kind: 'ALGY';
  /** What the patient is allergic to, in the table's words. */
  allergen: string;
  ingredient: string;
  /** Another substance than the one that the allergy names. */
  crossReactive: boolean;
}

/** An allergy with what it is to. */
export interface Allergen {
  /** `AllergyIntolerance/id` */
  reference: string;
  ingredients: string[];
  groups: AllergyGroup[];
  intolerance: boolean;
  /** To a drug, or to nobody knows what, and not in the tables. */
  unrecognised: boolean;
}

/** SNOMED CT codes that say that there is no allergy. */
const NO_ALLERGY = ['716186003', '409137002', '428607008', '429625007'];
const DENIED =
  /\bno (?:known )?(?:\w+ ){0,2}(?:allerg|intoleranc|hypersensitiv)|\bnkd?a\b|\bnot allergic\b|\bden(?:ies|ied)\b/i;

/** What the patient's allergies are to; those that deny one are left out. */
export function allergensOf(
  allergies: readonly AllergyIntolerance[],
  groups: readonly AllergyGroup[],
  ingredients: Ingredients
): Allergen[] {
  const names = new Dictionary<AllergyGroup>();
  for (const group of groups) {
    for (const name of group.names) {
      names.add(name, group);
    }
  }
  return allergies
    .filter((allergy) => !isDenied(allergy.code))
    .map((allergy) => {
      const concepts = [allergy.code, ...(allergy.reaction ?? []).map(({ substance }) => substance)];
      const found = concepts.flatMap((concept) => ingredients.ofConcept(concept).ingredients);
      const named = concepts.flatMap((concept) => groupsOf(concept, groups, names));
      const ofDrugs = allergy.category === undefined || allergy.category.includes('medication');
      return {
        reference: `AllergyIntolerance/${allergy.id}`,
        ingredients: [...new Set(found)].sort(),
        groups: [...new Set(named)],
        intolerance: allergy.type === 'intolerance',
        unrecognised: ofDrugs && found.length === 0 && named.length === 0,
      };
    });
}

function isDenied(code: CodeableConcept | undefined): boolean {
  const coded = (code?.coding ?? []).some((coding) => NO_ALLERGY.includes(coding.code ?? ''));
  return coded || textsOf(code).some((text) => DENIED.test(text));
}

function groupsOf(
  concept: CodeableConcept | undefined,
  groups: readonly AllergyGroup[],
  names: Dictionary<AllergyGroup>
): AllergyGroup[] {
  const coded = groups.filter(({ codes }) =>
    codes?.some(({ system, code }) => concept?.coding?.some((each) => each.system === system && each.code === code))
  );
  return [...coded, ...textsOf(concept).flatMap((text) => names.find(plainWords(text)))];
}

function textsOf(concept: CodeableConcept | undefined): string[] {
  const displays = (concept?.coding ?? []).map(({ display }) => display);
  return [concept?.text, ...displays].filter((text) => text !== undefined).map((text) => text.slice(0, 500));
}

/** Why an ingredient conflicts with an allergy, the gravest reason. */
interface Reason {
  severity: Severity;
  allergen: string;
  crossReactive: boolean;
  note: string;
  reference: string;
}

/** The medications that conflict with an allergy: one finding for each ingredient. */
export function allergyConflictsOf(
  taken: readonly Taken[],
  allergens: readonly Allergen[],
  groups: readonly AllergyGroup[],
  ingredients: Ingredients
): AllergyConflict[] {
  const names = [...new Set(taken.flatMap((each) => each.ingredients))].sort();
  const found = names.flatMap((name): AllergyConflict[] => {
    const reasons = allergens
      .flatMap((allergen) => reasonFor(name, allergen, groups, ingredients) ?? [])
      .sort((one, other) => bySeverity(one, other) || Number(one.crossReactive) - Number(other.crossReactive));
    const [gravest] = reasons;
    if (gravest === undefined) {
      return [];
    }
    const records = taken.filter((each) => each.ingredients.includes(name)).map(({ reference }) => reference);
    return [conflict(name, gravest, [...records, ...reasons.map(({ reference }) => reference)])];
  });
  return merged(found);
}

function conflict(ingredient: string, reason: Reason, references: readonly string[]): AllergyConflict {
  const { severity, allergen, crossReactive, note } = reason;
  return {
    kind: 'ALGY',
    rule: `allergy:${ingredient}`,
    severity,
    title: `${ingredient}: recorded ${crossReactive ? 'allergy to a related substance' : 'allergy'} (${allergen})`,
    detail: `${note} Check the recorded reaction before it is given.`,
    implicated: [...new Set(references)].sort(),
    allergen,
    ingredient,
    crossReactive,
  };
}

function reasonFor(
  ingredient: string,
  allergen: Allergen,
  groups: readonly AllergyGroup[],
  ingredients: Ingredients
): Reason | undefined {
  const { reference, intolerance } = allergen;
  const reasons: Reason[] = [];
  if (allergen.ingredients.includes(ingredient)) {
    const severity = intolerance ? 'moderate' : 'high';
    const note = `An ${intolerance ? 'intolerance' : 'allergy'} to ${ingredient} is recorded.`;
    reasons.push({ severity, allergen: ingredient, crossReactive: false, note, reference });
  }
  const byMember = groups.filter(
    (group) => !group.onlyByName && allergen.ingredients.some((each) => ingredients.isOn(each, group.members))
  );
  for (const group of new Set([...allergen.groups, ...byMember])) {
    const named = allergen.groups.includes(group);
    const name = named
      ? group.display
      : (allergen.ingredients.find((each) => ingredients.isOn(each, group.members)) as string);
    if (ingredients.isOn(ingredient, group.members)) {
      const severity = intolerance && group.severity === 'high' ? 'moderate' : group.severity;
      const note = named
        ? `A reaction to ${group.display} is recorded, and ${ingredient} is one of them.`
        : `A reaction to ${name} is recorded, and ${ingredient} is of the same group: ${group.display}.`;
      reasons.push({ severity, allergen: name, crossReactive: !named, note, reference });
    }
    for (const { members, severity, note } of group.cross) {
      if (ingredients.isOn(ingredient, members)) {
        reasons.push({ severity, allergen: name, crossReactive: true, note, reference });
      }
    }
  }
  return reasons.sort(bySeverity)[0];
}
