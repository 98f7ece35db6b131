import { TABLES } from './tables.ts';
import type {
  AllergyGroup,
  CriticalRule,
  Ingredient,
  IngredientClass,
  InteractionRule,
  Need,
  PreventiveRule,
  Product,
} from './tables.ts';

/** What every answer says of the rules behind it. */
export interface Ruleset {
  id: string;
  version: string;
  date: string;
  /** What the site changed, where it did. */
  site?: SiteChanges;
}

export interface SiteChanges {
  /** The site's own name for it. */
  id: string;
  /** SHA-256 of the project secret. */
  sha256: string;
  added: number;
  changed: number;
  switchedOff: number;
}

/** All rules that a decision follows. */
export interface DecisionRules {
  ruleset: Ruleset;
  classes: readonly IngredientClass[];
  ingredients: readonly Ingredient[];
  products: readonly Product[];
  interactions: readonly InteractionRule[];
  /** Ingredients and classes of which several at once are not reported. */
  duplicatesOff: readonly string[];
  allergies: readonly AllergyGroup[];
  critical: readonly CriticalRule[];
  /** How far back a result is looked at, in hours. */
  criticalHours: number;
  preventive: readonly PreventiveRule[];
  needs: Readonly<Record<string, Need>>;
}

/** Version of the tables together: raised with any of them. */
export const RULESET = { id: 'medbots-decision-rules', version: '1.0.0', date: '2026-11-26' } as const;

/** The rules that ship, unchanged. */
export function shippedRules(): DecisionRules {
  const { ingredients, interactions, allergies, criticalValues, preventive } = TABLES;
  return {
    ruleset: { ...RULESET },
    classes: ingredients.classes,
    ingredients: ingredients.ingredients,
    products: ingredients.products,
    interactions: interactions.rules,
    duplicatesOff: [],
    allergies: allergies.groups,
    critical: criticalValues.rules,
    criticalHours: criticalValues.hours,
    preventive: preventive.rules,
    needs: preventive.needs,
  };
}
