import type { CodeableConcept, Coding, Medication, Reference, Resource } from '@medplum/fhirtypes';
import type { DecisionRules } from './rules.ts';
import type { Side } from './tables.ts';

/** What a medication was found to hold. */
export interface Recognition {
  /** Names of the table, sorted. */
  ingredients: string[];
  /** Whether something of it stayed unknown, or all of it, or is told in two ways that exclude one another. */
  incomplete: boolean;
  /** Whether what names it, such as a code and the words beside it, names different ingredients. */
  contradictory: boolean;
}

const RXNORM = ['http://www.nlm.nih.gov/research/umls/rxnorm', 'urn:oid:2.16.840.1.113883.6.88'];

/** Between the parts of a combination: `amoxicillin/clavulanate`, `losartan + hydrochlorothiazide`. */
const PARTING = /[/+&;,]|\band\b|\bwith\b|\bplus\b/;

/** Words in the name of a medication that are no ingredient. */
const FRAME = new Set(
  `tablet tablets capsule capsules caplet caplets oral solution suspension injection injectable syrup elixir cream ointment
  lotion paste foam patch patches spray inhaler inhalation inhalant drops drop nasal ophthalmic topical rectal vaginal
  intravenous subcutaneous transdermal sublingual buccal extended delayed release modified prolonged sustained controlled
  immediate hydrochloride sodium potassium calcium magnesium acetate sulfate sulphate phosphate tartrate succinate maleate
  mesylate fumarate citrate besylate carbonate nitrate bromide chloride gluconate lactate valerate propionate etexilate
  medoxomil trihydrate dihydrate monohydrate anhydrous micronized chewable disintegrating film coated enteric powder
  granules pack packet sachet prefilled syringe vial vials ampule bottle cartridge actuation metered dose doses daily
  week weekly month hour hours once twice three times four needed take morning evening night bedtime noon food meals meal
  water mouth strength low high adult child children pediatric product product(s) preparation brand generic unit units
  international kit liquid aerosol implant lozenge gummy effervescent free sugar caffeine preservative form route`
    .split(/\s+/)
    .filter((word) => word !== '')
);

/** Longest name that is read; a longer text is no name, and stays unknown. */
const LONGEST_NAME = 1_000;

/** A text as words of plain letters and digits; marks on letters, case and signs do not count. */
export function plainWords(text: string): string[] {
  return (
    text
      .normalize('NFKD')
      .replace(/\p{M}/gu, '')
      .toLowerCase()
      .match(/[a-z0-9]+/g) ?? []
  );
}

/** Words that a text is searched for, the longest match first. */
export class Dictionary<T> {
  readonly #entries = new Map<string, T[]>();
  #longest = 0;

  add(name: string, value: T): void {
    const words = plainWords(name);
    const key = words.join(' ');
    if (key !== '') {
      this.#entries.set(key, [...(this.#entries.get(key) ?? []), value]);
      this.#longest = Math.max(this.#longest, words.length);
    }
  }

  /**
   * Everything that stands in the words, none within another: `penicillin v` is not `penicillin`.
   * What the words deny is left out: `aspirin-free`, `non-aspirin`.
   */
  find(words: readonly string[]): T[] {
    const found: T[] = [];
    for (let at = 0; at < words.length;) {
      const length = this.#matchAt(words, at);
      if (length > 0 && !DENIED_BEFORE.has(words[at - 1] ?? '') && words[at + length] !== 'free') {
        found.push(...(this.#entries.get(words.slice(at, at + length).join(' ')) ?? []));
      }
      at += Math.max(length, 1);
    }
    return found;
  }

  /** How many words from a place on make an entry; 0 for none. */
  #matchAt(words: readonly string[], at: number): number {
    for (let length = Math.min(this.#longest, words.length - at); length > 0; length--) {
      if (this.#entries.has(words.slice(at, at + length).join(' '))) {
        return length;
      }
    }
    return 0;
  }
}

const DENIED_BEFORE = new Set(['no', 'non', 'not', 'without']);

/** Finds the ingredients of medications, by code and by name; what is not in the table is not guessed. */
export class Ingredients {
  readonly #names = new Dictionary<string[]>();
  readonly #rxnorm = new Map<string, string>();
  readonly #classes = new Map<string, readonly string[]>();

  constructor(rules: Pick<DecisionRules, 'ingredients' | 'products'>) {
    for (const { name, also, brands, rxnorm, classes } of rules.ingredients) {
      for (const each of [name, ...(also ?? []), ...(brands ?? [])]) {
        this.#names.add(each, [name]);
      }
      if (rxnorm !== undefined) {
        this.#rxnorm.set(rxnorm, name);
      }
      this.#classes.set(name, classes);
    }
    for (const { brand, ingredients } of rules.products) {
      this.#names.add(brand, ingredients);
    }
  }

  classesOf(ingredient: string): readonly string[] {
    return this.#classes.get(ingredient) ?? [];
  }

  /** Whether an ingredient is one of a side: by its own name, or by a class of it. */
  isOn(ingredient: string, side: readonly Side[]): boolean {
    return side.includes(ingredient) || this.classesOf(ingredient).some((code) => side.includes(`#${code}`));
  }

  /** The ingredients that a text names. */
  inText(text: string): string[] {
    return unique(this.#names.find(plainWords(text)).flat());
  }

  /** Codes and words together: where they differ, both count, and the contradiction is told. */
  ofConcept(concept: CodeableConcept | undefined): Recognition {
    const codings = concept?.coding ?? [];
    const given = [concept?.text, ...codings.map(({ display }) => display)].filter((text) => text !== undefined);
    const texts = given.map((text) => text.slice(0, LONGEST_NAME));
    const said = [...codings.map((coding) => this.#ofCoding(coding)), ...texts.map((text) => this.inText(text))];
    const ingredients = unique(said.flat());
    const contradictory = contradict(said);
    return {
      ingredients,
      incomplete:
        ingredients.length === 0 ||
        contradictory ||
        given.some((text) => text.length > LONGEST_NAME) ||
        texts.some((text) => this.#hasUnknownPart(text)),
      contradictory,
    };
  }

  /** A Medication by its code and its list of ingredients. */
  ofMedication(medication: Medication, contained: readonly Resource[] = []): Recognition {
    if (medication.status === 'entered-in-error') {
      return { ingredients: [], incomplete: true, contradictory: false };
    }
    const named = this.ofConcept(medication.code);
    const parts = (medication.ingredient ?? [])
      .filter(({ isActive }) => isActive !== false)
      .map(({ itemCodeableConcept, itemReference }) =>
        itemReference === undefined
          ? this.ofConcept(itemCodeableConcept)
          : this.#ofReference(itemReference, [...contained, ...(medication.contained ?? [])])
      );
    const listed = parts.length > 0 && parts.every(({ incomplete }) => !incomplete);
    const held = parts.flatMap(({ ingredients }) => ingredients);
    const contradictory =
      [named, ...parts].some((each) => each.contradictory) || contradict([named.ingredients, held]);
    return {
      ingredients: unique([...named.ingredients, ...held]),
      incomplete: contradictory || (parts.length > 0 ? !listed : named.incomplete),
      contradictory,
    };
  }

  #ofReference(reference: Reference, contained: readonly Resource[]): Recognition {
    const target = contained.find(({ id }) => `#${id}` === reference.reference);
    if (target?.resourceType === 'Medication' || target?.resourceType === 'Substance') {
      return this.ofConcept(target.code);
    }
    return this.ofConcept(reference.display === undefined ? undefined : { text: reference.display });
  }

  #ofCoding({ system, code }: Coding): string[] {
    const name = RXNORM.includes(system ?? '') ? this.#rxnorm.get(code ?? '') : undefined;
    return name === undefined ? [] : [name];
  }

  /** Whether a part of a combination holds a word that is neither an ingredient nor of the frame. */
  #hasUnknownPart(text: string): boolean {
    const parts = text.toLowerCase().split(PARTING);
    return parts.length > 1 && parts.some((part) => this.#names.find(plainWords(part)).length === 0 && isStrange(part));
  }
}

/**
 * Whether names of one medication exclude one another: some have no ingredient in common with the rest, not even by way
 * of a third, as the name of a combination is. Names without a known ingredient say nothing.
 */
export function contradict(said: readonly (readonly string[])[]): boolean {
  let groups: string[][] = [];
  for (const names of said) {
    const touched = groups.filter((group) => group.some((one) => names.some((other) => isAlike(one, other))));
    if (names.length > 0) {
      groups = [...groups.filter((group) => !touched.includes(group)), unique([...touched.flat(), ...names])];
    }
  }
  return groups.length > 1;
}

/** The same ingredient, or one told less exactly: `insulin` beside `insulin glargine`. */
function isAlike(one: string, other: string): boolean {
  return one === other || one.startsWith(`${other} `) || other.startsWith(`${one} `);
}

/** Whether a text holds a word that no name of a medication has around its ingredients, or one of another script. */
function isStrange(part: string): boolean {
  return plainWords(part).some((word) => /^[a-z]{5,}$/.test(word) && !FRAME.has(word)) || OTHER_SCRIPT.test(part);
}

/** Three letters in a row that are not Latin; the micro sign is one. */
const OTHER_SCRIPT = /(?:(?!\p{Script=Latin})\p{L}){3}/u;

function unique(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
