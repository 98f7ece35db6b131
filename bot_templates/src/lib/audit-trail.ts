import { type AuditRecord, auditEvent, storesTexts, textFacts } from './audit.ts';
import { asFailure, BotFailure } from './failure.ts';
import { fhirRequest } from './fhir.ts';
import { executeBot } from './other-bots.ts';
import type { BotRun } from './run.ts';

/**
 * The audit trail of one run.
 *
 * A bot with rights of its own writes AuditEvents itself. One that runs as the user has the Audit Logging Bot write
 * them, for users seldom may; the requester whom that bot sees is the same user.
 */
export class AuditTrail {
  readonly #run: BotRun;
  #noted: AuditRecord[] = [];

  constructor(run: BotRun) {
    this.#run = run;
  }

  /** Notes what happened; it is written at the end of the run. */
  note(record: AuditRecord): void {
    this.#noted.push({ recorded: new Date().toISOString(), ...record });
  }

  /**
   * Writes an event before what depends on it is done.
   * @throws BotFailure AUDIT_UNAVAILABLE
   */
  async require(record: AuditRecord): Promise<void> {
    if (!(await this.#write([record]))) {
      throw new BotFailure('AUDIT_UNAVAILABLE', 'The audit trail cannot be written, so nothing is done');
    }
  }

  /** Writes what was noted. @returns Whether all of it was written. */
  async flush(): Promise<boolean> {
    const records = this.#noted;
    this.#noted = [];
    return records.length === 0 || this.#write(records);
  }

  async #write(records: readonly AuditRecord[]): Promise<boolean> {
    const run = this.#run;
    try {
      if (!run.bot.runsAsUser || !(await this.#handOver(records))) {
        const device = await run.device();
        await Promise.all(records.map((record) => this.#create(record, device)));
      }
      return true;
    } catch {
      run.log(`AUDIT_FAILED ${records.map(({ type }) => type).join()} ${run.requestId}`);
      return false;
    }
  }

  async #create(record: AuditRecord, device: string | undefined): Promise<void> {
    await fhirRequest('Writing an AuditEvent', 'AUDIT_UNAVAILABLE', (signal) =>
      this.#run.medplum.createResource(auditEvent(this.#run, record, device), { signal })
    );
  }

  /**
   * @returns Whether there is an Audit Logging Bot for this user.
   * @throws BotFailure when there is one, and it did not write them.
   */
  async #handOver(records: readonly AuditRecord[]): Promise<boolean> {
    const events = records.map((record) => handedOver(this.#run, record));
    try {
      const answer = await executeBot(this.#run, 'audit-logging', { events });
      if (!answer.success) {
        throw new BotFailure('AUDIT_UNAVAILABLE', 'The Audit Logging Bot did not write the events');
      }
      return true;
    } catch (error) {
      if (asFailure(error, 'AUDIT_UNAVAILABLE').details?.absent !== undefined) {
        return false;
      }
      throw error;
    }
  }
}

/** An event as the Audit Logging Bot takes it; the server keeps that bot's input, so texts stay out where they can. */
function handedOver(run: BotRun, record: AuditRecord): Record<string, unknown> {
  const { type, claimedPractitionerId, prompt, response, detail, ...rest } = record;
  const withTexts = storesTexts(run);
  return {
    ...rest,
    eventType: type,
    practitionerId: claimedPractitionerId,
    claimedBot: run.reference,
    ...(withTexts ? { prompt, response } : {}),
    detail: {
      ...detail,
      ...(withTexts ? {} : textFacts(record, false)),
      // The header that tells does not reach the other bot.
      ...(run.onBehalfOf === undefined ? {} : { 'on-behalf-of': run.onBehalfOf }),
    },
  };
}
