import type { Encounter, MedicationRequest } from '@medplum/fhirtypes';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { useClinic } from '../../test/support/clinic.ts';
import { CDS, Deciding, Subscribed } from '../../test/support/deciding.ts';

describe('Clinical Decision Support Bot by subscription', () => {
  const clinic = useClinic([CDS, 'command-processor']);
  const it = new Deciding(clinic);
  const subscribed = new Subscribed(clinic);

  beforeAll(() => subscribed.start());
  beforeEach(() => it.newPatient());

  const stop = (order: MedicationRequest, status: MedicationRequest['status']) =>
    clinic.admin.updateResource({ ...order, status });

  const encounter = (status: Encounter['status']) =>
    clinic.create<Encounter>({
      resourceType: 'Encounter',
      status,
      class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
      subject: it.subject,
    });

  test('a second order makes one issue; saving it again adds none, and no run starts another', async () => {
    await it.order('Warfarin');
    const aspirin = await it.order('Aspirin');
    await subscribed.settled(`MedicationRequest/${aspirin.id}`);
    expect(await it.standing()).toHaveLength(1);
    await clinic.admin.updateResource({ ...aspirin, note: [{ text: 'again' }] });
    const runs = await subscribed.settled(`MedicationRequest/${aspirin.id}`, 2);
    expect(runs.map(({ outcome }) => outcome)).toEqual(['0', '0']);
    expect(await it.issues()).toHaveLength(1);
  });

  test('an order that stops ends its issues; back on, they stand again and are not doubled', async () => {
    const warfarin = await it.order('Warfarin');
    const aspirin = await it.order('Aspirin');
    const reference = `MedicationRequest/${aspirin.id}`;
    await subscribed.settled(reference);
    await stop(aspirin, 'stopped');
    await subscribed.settled(reference, 2);
    expect(await it.issues()).toMatchObject([
      { status: 'cancelled', mitigation: [{ action: { coding: [{ code: 'no-longer-applies' }] } }] },
    ]);
    await stop(aspirin, 'active');
    await subscribed.settled(reference, 3);
    const issues = await it.issues();
    expect(issues).toMatchObject([{ status: 'final' }]);
    expect(issues[0]?.mitigation).toBeUndefined();
    expect(warfarin.status).toBe('active');
  });

  test.each(['completed', 'cancelled', 'entered-in-error'] as const)(
    'an order that is %s ends its issues',
    async (status) => {
      await it.order('Warfarin');
      const aspirin = await it.order('Aspirin');
      await subscribed.settled(`MedicationRequest/${aspirin.id}`);
      await stop(aspirin, status);
      await subscribed.settled(`MedicationRequest/${aspirin.id}`, 2);
      expect(await it.issues()).toMatchObject([{ status: 'cancelled' }]);
    }
  );

  test('an order that is deleted ends its issues', async () => {
    await it.order('Warfarin');
    const aspirin = await it.order('Aspirin');
    await subscribed.settled(`MedicationRequest/${aspirin.id}`);
    const before = await subscribed.count();
    await clinic.admin.deleteResource('MedicationRequest', aspirin.id);
    await expect
      .poll(async () => (await it.issues()).map(({ status }) => status), { timeout: 10_000 })
      .toEqual(['cancelled']);
    await expect.poll(() => subscribed.count()).toBe(before + 1);
  });

  test('an order that is moved to another patient ends its issues there', async () => {
    await it.order('Warfarin');
    const aspirin = await it.order('Aspirin');
    await subscribed.settled(`MedicationRequest/${aspirin.id}`);
    const other = await clinic.create({ resourceType: 'Patient' });
    await clinic.admin.updateResource({ ...aspirin, subject: { reference: `Patient/${other.id}` } });
    await subscribed.settled(`MedicationRequest/${aspirin.id}`, 2);
    expect(await it.issues()).toMatchObject([{ status: 'cancelled' }]);
  });

  test('two orders at once make one issue', async () => {
    const orders = await Promise.all([it.order('Warfarin'), it.order('Aspirin'), it.order('Metformin')]);
    for (const { id } of orders) {
      await subscribed.settled(`MedicationRequest/${id}`);
    }
    expect(await it.issues()).toHaveLength(1);
    expect(await it.standing()).toHaveLength(1);
  });

  test.each(['arrived', 'triaged', 'in-progress'] as const)(
    'an encounter that is %s is looked at, and never written',
    async (status) => {
      await it.potassium(6.8);
      const made = await encounter(status);
      const runs = await subscribed.settled(`Encounter/${made.id}`);
      expect(runs).toHaveLength(1);
      expect(await it.flags()).toHaveLength(1);
      const after = await clinic.admin.readResource('Encounter', made.id, { cache: 'reload' });
      expect(after.meta?.versionId).toBe(made.meta.versionId);
      expect(await it.guidance()).toMatchObject([{ encounter: { reference: `Encounter/${made.id}` } }]);
      await clinic.admin.updateResource({ ...made, reasonCode: [{ text: 'again' }] });
      expect(await subscribed.settled(`Encounter/${made.id}`, 2)).toHaveLength(2);
      expect(await it.flags()).toHaveLength(1);
      expect(await it.guidance()).toHaveLength(1);
      expect(clinic.router.calls).toEqual([]);
    }
  );

  test.each(['planned', 'finished', 'cancelled', 'onleave'] as const)(
    'an encounter that is %s is left alone',
    async (status) => {
      await it.potassium(6.8);
      const made = await encounter(status);
      await subscribed.settled(`Encounter/${made.id}`);
      expect([await it.flags(), await it.guidance()]).toEqual([[], []]);
    }
  );

  test('a critical result that cannot be handed on makes the run fail, for nobody reads its answer', async () => {
    await it.potassium(6.8);
    const bot = await clinic.admin.readResource('Bot', clinic.botId('command-processor'));
    await clinic.admin.updateResource({ ...bot, identifier: [] });
    try {
      const made = await encounter('in-progress');
      const runs = await subscribed.settled(`Encounter/${made.id}`);
      expect(runs).toMatchObject([{ outcome: '4' }]);
      expect(await it.guidance()).toHaveLength(1);
    } finally {
      await clinic.admin.updateResource(bot);
    }
  });
});
