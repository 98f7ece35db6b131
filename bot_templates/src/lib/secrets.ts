import type { ProjectSetting } from '@medplum/fhirtypes';
import { BotFailure } from './failure.ts';

/** The project secrets a bot is given: the only configuration there is. (`process.env` is the server's.) */
export class Secrets {
  readonly #settings: Record<string, ProjectSetting>;

  constructor(settings: Record<string, ProjectSetting> | undefined) {
    this.#settings = settings ?? {};
  }

  /** The value of a secret, or undefined when it is absent or blank. */
  optional(name: string): string | undefined {
    const setting = Object.hasOwn(this.#settings, name) ? this.#settings[name] : undefined;
    const value = setting?.valueString ?? setting?.valueInteger ?? setting?.valueDecimal ?? setting?.valueBoolean;
    const text = value === undefined ? '' : String(value).trim();
    return text === '' ? undefined : text;
  }

  /** @throws BotFailure NOT_CONFIGURED, naming the secret. */
  required(name: string): string {
    const value = this.optional(name);
    if (value === undefined) {
      throw new BotFailure('NOT_CONFIGURED', `The project secret ${name} is not set`, { secret: name });
    }
    return value;
  }

  /**
   * A whole number within bounds.
   * @throws BotFailure NOT_CONFIGURED when the secret is something else.
   */
  integer(name: string, fallback: number, minimum: number, maximum: number): number {
    const text = this.optional(name);
    if (text === undefined) {
      return fallback;
    }
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < minimum || value > maximum) {
      throw new BotFailure(
        'NOT_CONFIGURED',
        `The project secret ${name} must be a whole number from ${minimum} to ${maximum}`,
        { secret: name }
      );
    }
    return value;
  }

  /** @throws BotFailure NOT_CONFIGURED when the secret is none of the choices. */
  oneOf<T extends string>(name: string, choices: readonly [T, ...T[]]): T {
    const text = this.optional(name) ?? choices[0];
    const choice = choices.find((candidate) => candidate === text);
    if (choice === undefined) {
      throw new BotFailure('NOT_CONFIGURED', `The project secret ${name} must be one of ${choices.join(', ')}`, {
        secret: name,
      });
    }
    return choice;
  }
}
