import { randomUUID } from 'node:crypto';
import type { BotEvent, MedplumClient } from '@medplum/core';
import type { AuditRecord, AuditType } from './audit.ts';
import { AuditTrail } from './audit-trail.ts';
import { deviceOf } from './device.ts';
import { asFailure, type BotFailure, type ErrorCode, type FailureOutput } from './failure.ts';
import { parseReference } from './ids.ts';
import { type BotInput, parseInput } from './input.ts';
import { Secrets } from './secrets.ts';

/** Who a bot is. */
export interface BotIdentity {
  /** The manifest's key. */
  key: string;
  /** The guide's name. */
  name: string;
  /** Whether it runs with the rights of whoever calls it. */
  runsAsUser: boolean;
  /** The code of a failure that nobody foresaw. */
  unforeseen: ErrorCode;
  /** As what its failures are audited. */
  failureAudit: AuditType;
  /** As what it is audited that a caller asked for what they may not have; by default as a failure. */
  refusalAudit?: AuditType;
  /** Which model it speaks for, by the secret that names the alias, and the alias without it. */
  model?: { secret: string; fallback: string };
}

/** The model that writes text. */
export const CLINICAL_MODEL = { secret: 'CLINICAL_MODEL', fallback: 'clinical-model' } as const;
/** The model that makes vectors. */
export const EMBEDDING_MODEL = { secret: 'EMBEDDING_MODEL', fallback: 'embedding-model' } as const;

/** One run of a bot, and what it may use. */
export class BotRun {
  readonly bot: BotIdentity;
  readonly medplum: MedplumClient;
  readonly event: BotEvent<unknown>;
  readonly secrets: Secrets;
  readonly audit: AuditTrail;
  readonly requestId: string = randomUUID();
  /** URI of every identifier and code that medbots itself coins. */
  readonly namespace: string;
  /** `Type/id` of what is worked on, for the audit of a failure. */
  resource: string | undefined;
  /** The patient concerned, for the audit of a failure. */
  patientId: string | undefined;
  /** The command concerned, for the audit of a failure. */
  commandId: string | undefined;
  #device: Promise<string | undefined> | undefined;

  constructor(bot: BotIdentity, medplum: MedplumClient, event: BotEvent<unknown>) {
    this.bot = bot;
    this.medplum = medplum;
    this.event = event;
    this.secrets = new Secrets(event.secrets);
    this.audit = new AuditTrail(this);
    this.namespace = this.secrets.optional('MEDBOTS_NAMESPACE') ?? 'urn:medbots';
  }

  /** `Bot/id` of this bot. */
  get reference(): string {
    return this.event.bot.reference ?? `Bot/${this.bot.key}`;
  }

  /** `Type/id` of whoever asked for the run, as the server attests it. */
  get requester(): string | undefined {
    const reference = this.event.requester?.reference;
    return parseReference(reference) ? reference : undefined;
  }

  /** For whom a project admin acts: `event.requester` is then that person, and only this header tells. */
  get onBehalfOf(): string | undefined {
    const claimed = this.header('x-medplum-on-behalf-of');
    return claimed === undefined || parseReference(claimed) ? claimed : 'unreadable';
  }

  /** `Device/id` of the model that the bot speaks for, which authors what it writes. */
  device(): Promise<string | undefined> {
    const { model } = this.bot;
    this.#device ??= model
      ? deviceOf(this, this.secrets.optional(model.secret) ?? model.fallback)
      : Promise.resolve(undefined);
    return this.#device;
  }

  /** Writes to the server's log, which is patient data once a record's text is in it: ids and counts only. */
  log(line: string): void {
    console.log(line);
  }

  /** A header of the call, its name in lower case; undefined also where there was no call. */
  header(name: string): string | undefined {
    const headers = (this.event as { headers?: Record<string, unknown> }).headers ?? {};
    const value = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
    return typeof value === 'string' ? value : undefined;
  }

  /** Whether a subscription runs the bot. An HTTP call has a host, and a caller cannot take it away. */
  bySubscription(input: BotInput | undefined): boolean {
    return input !== undefined && input.kind !== 'command' && this.header('host') === undefined;
  }
}

/** What a bot returns when it did what it was asked. */
export type SuccessOutput = { success: true } & Record<string, unknown>;

/** What the work of a bot gives; its warnings are completed by those of the run. */
export type WorkOutput = Record<string, unknown> & { warnings?: readonly string[] };

/**
 * Runs a bot under the common contract.
 *
 * On `$execute` a failure is returned; on a subscription it is thrown, so that the server records it. Failures are
 * audited, except a mere mistake in the input of `$execute`. What the bot noted for the audit trail is written at the
 * end; the answer of a bot whose trail could not be written warns of it.
 */
export async function runBot(
  bot: BotIdentity,
  medplum: MedplumClient,
  event: BotEvent<unknown>,
  work: (run: BotRun, input: BotInput) => Promise<WorkOutput>
): Promise<SuccessOutput | FailureOutput> {
  const run = new BotRun(bot, medplum, event);
  let input: BotInput | undefined;
  try {
    input = parseInput(event.input);
    const output = await work(run, input);
    if (!(await run.audit.flush())) {
      return { success: true, ...output, warnings: [...(output.warnings ?? []), 'AUDIT_FAILED'] };
    }
    return { success: true, ...output };
  } catch (error) {
    const failure = asFailure(error, bot.unforeseen);
    run.log(`${failure.code} ${run.requestId}`);
    const thrown = run.bySubscription(input);
    if (thrown || failure.code !== 'INVALID_INPUT') {
      run.audit.note(failureRecord(run, failure));
    }
    await run.audit.flush();
    if (thrown) {
      throw failure;
    }
    return failure.output();
  }
}

/** Codes for which whoever called is to blame, and nothing is broken. */
const MINOR: readonly ErrorCode[] = ['INVALID_INPUT', 'PATIENT_NOT_FOUND', 'UNAUTHORIZED', 'SAFETY_BLOCKED'];

/** What the audit trail says of a failure. */
export function failureRecord(run: BotRun, failure: BotFailure): AuditRecord {
  const minor = MINOR.includes(failure.code);
  return {
    type: (minor ? run.bot.refusalAudit : undefined) ?? run.bot.failureAudit,
    action: 'E',
    outcome: minor ? '4' : '8',
    outcomeDesc: `${failure.code}: ${failure.message}`,
    patientId: run.patientId,
    resource: run.resource,
    commandId: run.commandId,
  };
}
