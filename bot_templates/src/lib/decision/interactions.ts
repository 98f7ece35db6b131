import { bySeverity, type Finding, merged } from './finding.ts';
import type { Ingredients } from './ingredients.ts';
import type { Taken } from './medications.ts';
import type { InteractionRule } from './tables.ts';

export interface Interaction extends Finding {
  kind: 'DRG';
  ingredients: [string, string];
  mechanism: string;
  management: string;
}

/**
 * The interactions between a patient's medications.
 *
 * Each pair of ingredients is reported once, by the gravest rule that holds for it. The same ingredient twice is no
 * interaction, and neither are the parts of one combination that nothing else contains.
 */
export function interactionsOf(
  taken: readonly Taken[],
  rules: readonly InteractionRule[],
  ingredients: Ingredients
): Interaction[] {
  const names = [...new Set(taken.flatMap((each) => each.ingredients))].sort();
  const found: Interaction[] = [];
  for (const [index, one] of names.entries()) {
    for (const other of names.slice(index + 1)) {
      const concerned = taken.filter((each) => each.ingredients.includes(one) || each.ingredients.includes(other));
      const onlyTogether = concerned.every(
        (each) => each.ingredients.includes(one) && each.ingredients.includes(other)
      );
      const rule = onlyTogether ? undefined : ruleFor(one, other, rules, ingredients);
      if (rule) {
        found.push(
          interaction(
            rule,
            one,
            other,
            concerned.map(({ reference }) => reference)
          )
        );
      }
    }
  }
  return merged(found);
}

/** The gravest rule for two ingredients; of several, the first that names both, then one, then none. */
export function ruleFor(
  one: string,
  other: string,
  rules: readonly InteractionRule[],
  ingredients: Ingredients
): InteractionRule | undefined {
  const named = (rule: InteractionRule): number =>
    [one, other].filter((each) => rule.one.includes(each) || rule.other.includes(each)).length;
  return rules
    .filter(
      (rule) =>
        (ingredients.isOn(one, rule.one) && ingredients.isOn(other, rule.other)) ||
        (ingredients.isOn(other, rule.one) && ingredients.isOn(one, rule.other))
    )
    .sort((first, second) => bySeverity(first, second) || named(second) - named(first))[0];
}

function interaction(rule: InteractionRule, one: string, other: string, references: readonly string[]): Interaction {
  return {
    kind: 'DRG',
    rule: rule.id,
    severity: rule.severity,
    title: `${one} and ${other}`,
    detail: `${rule.mechanism} ${rule.management}`,
    implicated: [...references].sort(),
    ingredients: [one, other],
    mechanism: rule.mechanism,
    management: rule.management,
  };
}
