import { BotFailure } from './failure.ts';
import { isUuid, parseReference } from './ids.ts';
import { isObject } from './input.ts';
import { nearest } from './spelling.ts';

/** A Coding that says what it means. */
export interface RequiredCoding {
  system: string;
  code: string;
  display?: string;
}

/**
 * Takes the fields of a command one by one, checked.
 *
 * `null` counts as absent. Call `done` at the end: a field that nobody took is an error, for a misspelt
 * `patientId` must not turn a search of one patient into a search of all.
 */
export class Fields {
  readonly #fields: Map<string, unknown>;
  readonly #path: string;
  /** Names that were asked for. */
  readonly #known = new Set<string>();

  constructor(fields: Record<string, unknown>, path = '') {
    this.#fields = new Map(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
    this.#path = path;
  }

  /** A text that is not blank, trimmed. */
  text(name: string, longest: number): string | undefined {
    return this.#words(name, longest)?.trim();
  }

  /**
   * A text that is not blank, to the letter. Characters that FHIR allows in no text are refused: they could not be
   * stored, and dropping them would change what somebody wrote.
   */
  verbatim(name: string, longest: number): string | undefined {
    const value = this.#words(name, longest);
    if (value === undefined) {
      return undefined;
    }
    if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(value) || !value.isWellFormed()) {
      throw this.#invalid(name, 'must hold no control characters and no half characters');
    }
    return value;
  }

  oneOf<T extends string | number>(name: string, choices: readonly T[]): T | undefined {
    const value = this.#take(name);
    const choice = choices.find((candidate) => candidate === value);
    if (value !== undefined && choice === undefined) {
      throw this.#invalid(name, `must be one of ${choices.join(', ')}`);
    }
    return choice;
  }

  /** A list without repetitions, at least one long; a single value is a list of one. */
  listOf<T extends string>(name: string, choices: readonly T[]): T[] | undefined {
    const value = this.#take(name);
    if (value === undefined) {
      return undefined;
    }
    const values: unknown[] = Array.isArray(value) ? value : [value];
    const chosen = choices.filter((choice) => values.includes(choice));
    if (values.length === 0 || values.some((each) => !choices.some((choice) => choice === each))) {
      throw this.#invalid(name, `must list one or more of ${choices.join(', ')}`);
    }
    return chosen;
  }

  number(name: string, minimum: number, maximum: number): number | undefined {
    const value = this.#take(name);
    if (value !== undefined && !(typeof value === 'number' && value >= minimum && value <= maximum)) {
      throw this.#invalid(name, `must be a number from ${minimum} to ${maximum}`);
    }
    return value as number | undefined;
  }

  integer(name: string, minimum: number, maximum: number): number | undefined {
    const value = this.#take(name);
    if (value !== undefined && !(Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum)) {
      throw this.#invalid(name, `must be a whole number from ${minimum} to ${maximum}`);
    }
    return value as number | undefined;
  }

  boolean(name: string): boolean | undefined {
    const value = this.#take(name);
    if (value !== undefined && typeof value !== 'boolean') {
      throw this.#invalid(name, 'must be true or false');
    }
    return value as boolean | undefined;
  }

  /** The id of a resource of one type, given bare or as `Type/id`, in lower case. */
  id(name: string, resourceType: string): string | undefined {
    const value = this.#take(name);
    if (value === undefined) {
      return undefined;
    }
    const reference = parseReference(value);
    const id = reference?.resourceType === resourceType ? reference.id : value;
    if (!isUuid(id)) {
      throw this.#invalid(name, `must be the id of a ${resourceType}, bare or as ${resourceType}/id`);
    }
    return id.toLowerCase();
  }

  /** A calendar date, YYYY-MM-DD. */
  date(name: string): string | undefined {
    const value = this.#take(name);
    if (value !== undefined && !(typeof value === 'string' && isDate(value))) {
      throw this.#invalid(name, 'must be a date, YYYY-MM-DD');
    }
    return value as string | undefined;
  }

  /** An instant, or a calendar date (its start in UTC), as ISO text in UTC. */
  instant(name: string): string | undefined {
    const value = this.#take(name);
    if (value === undefined) {
      return undefined;
    }
    const zoned = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/;
    if (typeof value !== 'string' || !isDate(value.slice(0, 10)) || !(value.length === 10 || zoned.test(value))) {
      throw this.#invalid(name, 'must be a date, YYYY-MM-DD, or an instant with its time zone');
    }
    const instant = new Date(value);
    if (Number.isNaN(instant.getTime())) {
      throw this.#invalid(name, 'must be a date, YYYY-MM-DD, or an instant with its time zone');
    }
    return instant.toISOString();
  }

  /** The fields of a nested object. */
  object(name: string): Fields | undefined {
    const value = this.#take(name);
    if (value === undefined) {
      return undefined;
    }
    if (!isObject(value)) {
      throw this.#invalid(name, 'must be an object');
    }
    return new Fields(value, `${this.#path}${name}.`);
  }

  /** The fields of each object of a list; a single object is a list of one. */
  objects(name: string, most: number): Fields[] | undefined {
    return this.#list(name, most, 'objects')?.map((value, index) => {
      if (!isObject(value)) {
        throw this.#invalid(`${name}[${index}]`, 'must be an object');
      }
      return new Fields(value, `${this.#path}${name}[${index}].`);
    });
  }

  /** A list of texts that are not blank, trimmed; a single text is a list of one. */
  texts(name: string, most: number, longest: number): string[] | undefined {
    return this.#list(name, most, 'texts')?.map((value, index) => {
      const each = `${name}[${index}]`;
      return this.present(each, new Fields({ [each]: value }, this.#path).text(each, longest));
    });
  }

  /** An object of plain values: texts, numbers, truth values. */
  facts(name: string, most: number, longest: number): Record<string, string | number> | undefined {
    const value = this.#take(name);
    if (value === undefined) {
      return undefined;
    }
    const entries = isObject(value) ? Object.entries(value) : [];
    if (!isObject(value) || entries.length > most) {
      throw this.#invalid(name, `must be an object of at most ${most} plain values`);
    }
    const wrong = entries.some(([key, fact]) => !/^[\w-]{1,40}$/.test(key) || !isFact(fact, longest));
    if (wrong) {
      throw this.#invalid(name, `must hold numbers, truth values and texts of at most ${longest} characters by plain names`);
    }
    return Object.fromEntries(entries.map(([key, fact]) => [key, typeof fact === 'number' ? fact : String(fact)]));
  }

  /** `{system, code, display?}`. */
  coding(name: string): RequiredCoding | undefined {
    const fields = this.object(name);
    if (fields === undefined) {
      return undefined;
    }
    const coding = {
      system: fields.present('system', fields.text('system', 200)),
      code: fields.present('code', fields.text('code', 64)),
      display: fields.text('display', 300),
    };
    fields.done();
    const { display, ...coded } = coding;
    return display === undefined ? coded : { ...coded, display };
  }

  /** A name, or a Coding. */
  textOrCoding(name: string, longest: number): string | RequiredCoding | undefined {
    return typeof this.#fields.get(name) === 'string' ? this.text(name, longest) : this.coding(name);
  }

  /** Takes a field that means nothing here, whatever it holds. */
  ignore(name: string): void {
    this.#take(name);
  }

  /** @throws BotFailure INVALID_INPUT when the value is absent. */
  present<T>(name: string, value: T | undefined): T {
    if (value === undefined) {
      // What is left may be read later: a name that resembles the missing one is a suspicion, no more.
      const given = nearest(name, [...this.#fields.keys()].filter(isPlain));
      throw given === undefined
        ? this.#invalid(name, 'is missing')
        : this.#invalid(name, `is missing, and ${this.#path}${given} looks like a misspelling of it`, {
            misspelt: `${this.#path}${given}`,
          });
    }
    return value;
  }

  /** @throws BotFailure INVALID_INPUT for a field that the bot does not know. */
  done(): void {
    const [unknown] = this.#fields.keys();
    if (unknown !== undefined) {
      // The name comes from the caller: only a plain one is repeated.
      const name = isPlain(unknown) ? unknown : '(unprintable)';
      const meant = isPlain(unknown) ? nearest(unknown, this.#known) : undefined;
      throw meant === undefined
        ? this.#invalid(name, 'is no field of this bot')
        : this.#invalid(name, `is no field of this bot: did you mean ${this.#path}${meant}?`, {
            nearest: `${this.#path}${meant}`,
          });
    }
  }

  #words(name: string, longest: number): string | undefined {
    const value = this.#take(name);
    if (value === undefined) {
      return undefined;
    }
    if (typeof value !== 'string' || value.trim() === '') {
      throw this.#invalid(name, 'must be a text that is not blank');
    }
    if (value.length > longest) {
      throw this.#invalid(name, `must have at most ${longest} characters`);
    }
    return value;
  }

  #list(name: string, most: number, what: string): unknown[] | undefined {
    const value = this.#take(name);
    if (value === undefined) {
      return undefined;
    }
    const values: unknown[] = Array.isArray(value) ? value : [value];
    if (values.length === 0 || values.length > most) {
      throw this.#invalid(name, `must list 1 to ${most} ${what}`);
    }
    return values;
  }

  #take(name: string): unknown {
    const value = this.#fields.get(name);
    this.#fields.delete(name);
    this.#known.add(name);
    return value;
  }

  #invalid(name: string, rule: string, details: Record<string, string> = {}): BotFailure {
    const field = `${this.#path}${name}`;
    return new BotFailure('INVALID_INPUT', `${field} ${rule}`, { field, ...details });
  }
}

function isPlain(name: string): boolean {
  return /^\w{1,40}$/.test(name);
}

function isFact(value: unknown, longest: number): boolean {
  return typeof value === 'number' || typeof value === 'boolean' || (typeof value === 'string' && value.length <= longest);
}

/** Whether a text is a day of the calendar. */
function isDate(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) {
    return false;
  }
  const day = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}
