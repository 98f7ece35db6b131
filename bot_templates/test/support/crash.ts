import type { BotEvent, MedplumClient } from '@medplum/core';
import type { Clinic, Member, Output } from './clinic.ts';
import { executeEvent, subscriptionEvent } from './events.ts';

/** A fetch that dies with its process at one of its requests, and sends nothing from then on; or loses that one only. */
export class MortalFetch {
  /** Requests that were made. */
  count = 0;
  readonly #at: number;
  readonly #moment: 'before' | 'after';
  readonly #lives: boolean;
  readonly retries: number;

  /**
   * @param at - The request at which it dies; 0 never.
   * @param moment - Whether the server still gets that request.
   * @param lives - Whether only that request is lost, and the process goes on.
   * @param retries - How often the client sends again what was not answered; 2 on a server.
   */
  constructor(at: number, moment: 'before' | 'after', lives = false, retries = 0) {
    this.#at = at;
    this.#moment = moment;
    this.#lives = lives;
    this.retries = retries;
  }

  readonly fetch: typeof fetch = async (input, init) => {
    this.count++;
    const dead = this.#at > 0 && this.count > this.#at && !this.#lives;
    const dying = this.#at > 0 && this.count === this.#at;
    if (dead || (dying && this.#moment === 'before')) {
      throw new Error('the process is gone');
    }
    const answer = await fetch(input, init);
    if (dying) {
      throw new Error('the process is gone');
    }
    return answer;
  };
}

/** By what a handler calls the server, and how often its client sends again what was not answered. */
type Fetching = Pick<MortalFetch, 'fetch'> & { retries?: number };

const VALUES = { MEDBOTS_NAMESPACE: 'urn:medbots' };

type Handler = (medplum: MedplumClient, event: BotEvent<unknown>) => Promise<unknown>;

/** Runs a bot's handler in this process, with the bot's own rights and a fetch of the test. */
export class Inside {
  readonly #clinic: Clinic;
  readonly #key: string;
  readonly #handler: Handler;
  readonly #token: string;

  private constructor(clinic: Clinic, key: string, handler: Handler, token: string) {
    this.#clinic = clinic;
    this.#key = key;
    this.#handler = handler;
    this.#token = token;
  }

  static async of(clinic: Clinic, key: string, handler: Handler): Promise<Inside> {
    return new Inside(clinic, key, handler, await clinic.tokenOf(key));
  }

  run(input: object, by: Member, mortal: Fetching = new MortalFetch(0, 'before')): Promise<Output> {
    return this.#handle(executeEvent(input, VALUES, `Practitioner/${by.profile.id}`), mortal);
  }

  /** Runs it as a cron job does: nobody asked for it, and the input is the bot itself. */
  async runByCron(): Promise<Output> {
    const bot = await this.#clinic.admin.readResource('Bot', this.#clinic.botId(this.#key));
    const { requester: _, ...event } = subscriptionEvent(bot, VALUES);
    return this.#handle(event as BotEvent<unknown>, new MortalFetch(0, 'before'));
  }

  async #handle(event: BotEvent<unknown>, mortal: Fetching): Promise<Output> {
    const bot = { reference: `Bot/${this.#clinic.botId(this.#key)}` };
    const medplum = this.#clinic.clientWith(this.#token, mortal.fetch, mortal.retries);
    return (await this.#handler(medplum, { ...event, bot })) as Output;
  }
}
