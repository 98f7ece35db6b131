import allergies from '../../data/allergies.json' with { type: 'json' };
import criticalValues from '../../data/critical-values.json' with { type: 'json' };
import ingredients from '../../data/ingredients.json' with { type: 'json' };
import interactions from '../../data/interactions.json' with { type: 'json' };
import preventive from '../../data/preventive.json' with { type: 'json' };

/** As FHIR grades a DetectedIssue. */
export const SEVERITIES = ['high', 'moderate', 'low'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** One active substance. */
export interface Ingredient {
  /** By which the tables name it. */
  name: string;
  /** Other names of the substance. */
  also?: string[];
  /** Products that hold nothing else. */
  brands?: string[];
  /** RxNorm concept identifier of the ingredient, where a published list bears it out. */
  rxnorm?: string;
  classes: string[];
}

export interface IngredientClass {
  code: string;
  display: string;
  /** How grave two drugs of the class are at once; undefined where that is common practice. */
  duplicate?: Severity;
}

/** A product by brand that holds several ingredients. */
export interface Product {
  brand: string;
  ingredients: string[];
}

/** An ingredient by its name, or a class as `#code`. */
export type Side = string;

/** An interaction of any ingredient of one side with any of the other. */
export interface InteractionRule {
  id: string;
  one: Side[];
  other: Side[];
  severity: Severity;
  mechanism: string;
  management: string;
}

/** What is allergic to one another. */
export interface AllergyGroup {
  id: string;
  display: string;
  /** Words by which an allergy names the group as a whole. */
  names: string[];
  codes?: { system: string; code: string }[];
  /** The group holds only for an allergy that names it, not for one to a member. */
  onlyByName?: boolean;
  members: Side[];
  /** Of a member, for somebody allergic to the group or to another member. */
  severity: Severity;
  cross: { members: Side[]; severity: Severity; note: string }[];
}

/** What is critical of one quantity, whatever the code that it is reported under. */
export interface CriticalRule {
  id: string;
  name: string;
  loinc: string[];
  /** UCUM code of `low`, `high` and `plausible`. */
  unit: string;
  /** Accepted UCUM codes, with the factor to `unit`, or factor and summand. */
  units: Record<string, number | [factor: number, summand: number]>;
  /** Critical at or below. */
  low?: number;
  /** Critical at or above. */
  high?: number;
  /** A value outside is an error of measurement or entry, not a result. */
  plausible: [least: number, greatest: number];
  /** Years of age from which the limits hold. */
  fromAge: number;
  note?: string;
}

/** Codes of one system: listed, or by how they begin. */
export interface CodeSet {
  system: string;
  codes?: string[];
  prefixes?: string[];
}

/** What fulfils a recommendation. */
export interface Doing {
  codes: CodeSet[];
  /** For how long it counts; undefined: once for life. */
  months?: number;
  /** How many times it is needed; default 1. */
  doses?: number;
  /** Years of age from which it counts. */
  minAge?: number;
}

export interface PreventiveRule {
  id: string;
  title: string;
  sex?: 'female' | 'male';
  minAge: number;
  maxAge: number;
  /** Keys of `needs`, all of which must hold. */
  needs?: string[];
  source: { name: string; date: string; url?: string };
  done: Doing[];
  /** Conditions and procedures with which the recommendation does not hold. */
  unless?: CodeSet[];
  note?: string;
}

/** Something of the patient that a recommendation depends on. */
export interface Need {
  display: string;
  conditions?: CodeSet[];
  observations?: { codes: CodeSet[]; values: CodeSet[] };
}

/** How the codes of a table were held against published lists, and how many came out how. */
export interface CodesChecked {
  date: string;
  how: string;
  kept: number;
  corrected: number;
  removed: number;
}

/** What every table says of itself. */
export interface TableHead {
  table: string;
  version: string;
  /** Of the version. */
  date: string;
  source: string;
  codesChecked?: CodesChecked;
}

/** The tables that ship, as they stand in src/data. */
export const TABLES = {
  ingredients: ingredients as TableHead & {
    codesChecked: CodesChecked;
    classes: IngredientClass[];
    ingredients: Ingredient[];
    products: Product[];
  },
  interactions: interactions as TableHead & { rules: InteractionRule[] },
  allergies: allergies as TableHead & { groups: AllergyGroup[] },
  criticalValues: criticalValues as unknown as TableHead & {
    hours: number;
    otherUnits: string[];
    spellings: Record<string, string>;
    rules: CriticalRule[];
  },
  preventive: preventive as unknown as TableHead & { needs: Record<string, Need>; rules: PreventiveRule[] },
} as const;
