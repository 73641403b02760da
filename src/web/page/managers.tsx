// SPDX-License-Identifier: Apache-2.0
// The managers and the shards that each of them serves.
import { count, duration } from './format';
import type { Cluster } from './messages';
import { StoreSection } from './overview';
import { Badge, Empty, Loading, Scroll, Section, usePart, View } from './parts';
import { useManagerNow, useWorld } from './shared';

export function Managers() {
  const { state } = useWorld();
  return (
    <View title="Managers">
      {state.cluster === null ? (
        <Loading />
      ) : (
        <>
          <List cluster={state.cluster} />
          <Shards cluster={state.cluster} />
          <StoreSection cluster={state.cluster} />
        </>
      )}
    </View>
  );
}

function List({ cluster }: { cluster: Cluster }) {
  const now = useManagerNow();
  return (
    <Section title="Managers">
      <Scroll label="List of managers">
        <table>
          <thead>
            <tr>
              <th scope="col">Address</th>
              <th scope="col">Health</th>
              <th scope="col" class="number">
                Shards
              </th>
              <th scope="col" class="number">
                Tasks
              </th>
              <th scope="col">About</th>
            </tr>
          </thead>
          <tbody>
            {cluster.managers.map((address) => {
              const shards = cluster.shards.filter((shard) => shard.owner === address);
              const isSilent = cluster.silent.includes(address);
              const isThis = address === cluster.address;
              return (
                <tr key={address}>
                  <th scope="row" class="code">
                    {address}
                  </th>
                  <td>
                    <span class={`badge ${isSilent ? 'bad' : 'on'}`}>
                      {isSilent ? 'silent' : isThis && cluster.draining ? 'draining' : 'answers'}
                    </span>
                  </td>
                  <td class="number">{count(shards.length)}</td>
                  <td class="number">{count(shards.reduce((sum, shard) => sum + shard.tasks, 0))}</td>
                  <td>
                    {isThis
                      ? `this one, skep ${cluster.version}, up for ${duration(Math.max(0, now - cluster.started_at_ms))}`
                      : ''}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scroll>
    </Section>
  );
}

function Shards({ cluster }: { cluster: Cluster }) {
  const { shown, pager } = usePart(cluster.shards, 64);
  return (
    <Section title="Shards">
      {cluster.shards.length === 0 ? (
        <Empty>No shard is served by a manager that answers.</Empty>
      ) : (
        <Scroll label="List of shards">
          <table>
            <thead>
              <tr>
                <th scope="col" class="number">
                  Shard
                </th>
                <th scope="col">Owner</th>
                <th scope="col" class="number">
                  Epoch
                </th>
                <th scope="col">State</th>
                <th scope="col" class="number">
                  Tasks
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map((shard) => (
                <tr key={shard.shard}>
                  <th scope="row" class="number">
                    {shard.shard}
                  </th>
                  <td class="code">{shard.owner}</td>
                  <td class="number">{count(shard.epoch)}</td>
                  <td>
                    <Badge state={shard.state} />
                  </td>
                  <td class="number">{count(shard.tasks)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {pager}
    </Section>
  );
}
