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

/** Two ingredients as one key, whichever comes first. */
function pairKey(one: string, other: string): string {
  return one < other ? `${one}\u0000${other}` : `${other}\u0000${one}`;
}

/**
 * The rule for each pair of ingredients for which there is one: the gravest; of several, the first that names both,
 * then one, then none.
 * @param names - The ingredients, each once.
 */
export class PairRules {
  readonly #rules = new Map<string, InteractionRule>();

  constructor(names: readonly string[], rules: readonly InteractionRule[], ingredients: Ingredients) {
    // From rule to pairs: a list of hundreds has too many pairs to try every rule on each.
    for (const rule of rules) {
      const ones = names.filter((name) => ingredients.isOn(name, rule.one));
      const others = ones.length === 0 ? [] : names.filter((name) => ingredients.isOn(name, rule.other));
      for (const one of ones) {
        for (const other of others.filter((name) => name !== one)) {
          this.#offer(rule, one, other);
        }
      }
    }
  }

  of(one: string, other: string): InteractionRule | undefined {
    return this.#rules.get(pairKey(one, other));
  }

  /** Every pair with its rule, in the order of the names. */
  entries(): { one: string; other: string; rule: InteractionRule }[] {
    return [...this.#rules].sort(byKey).map(([key, rule]) => {
      const [one = '', other = ''] = key.split('\u0000');
      return { one, other, rule };
    });
  }

  #offer(rule: InteractionRule, one: string, other: string): void {
    const key = pairKey(one, other);
    const before = this.#rules.get(key);
    const named = (each: InteractionRule): number =>
      [one, other].filter((name) => each.one.includes(name) || each.other.includes(name)).length;
    if (!before || (bySeverity(rule, before) || named(before) - named(rule)) < 0) {
      this.#rules.set(key, rule);
    }
  }
}

function byKey([one]: [string, unknown], [other]: [string, unknown]): number {
  return one < other ? -1 : 1;
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
  const found = new PairRules(names, rules, ingredients).entries().flatMap(({ one, other, rule }) => {
    const concerned = taken.filter((each) => each.ingredients.includes(one) || each.ingredients.includes(other));
    const onlyTogether = concerned.every((each) => each.ingredients.includes(one) && each.ingredients.includes(other));
    return onlyTogether
      ? []
      : [
          interaction(
            rule,
            one,
            other,
            concerned.map(({ reference }) => reference)
          ),
        ];
  });
  return merged(found);
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
