"""Changes of agents among the approvals: people are told, and whoever approves there lets the agent out."""

from sqlalchemy import Connection

from core.context import Principal
from engine.agents.agents import Agents
from engine.agents.looks import check_person
from engine.agents.registry import Agent
from engine.approvals.approval import AGENT_CHANGE, Approval, Effect, Kind, Opening
from engine.approvals.approvals import Approvals


def join_agents(agents: Agents, approvals: Approvals) -> None:
    """Have changes of agents asked about, and decisions take effect."""

    async def ask(agent: Agent, digest: str) -> None:
        subject = {"agent_id": agent.agent_id, "digest": digest}
        title = f"The agent {agent.name} says something new of itself."
        opening = Opening(AGENT_CHANGE, title, f"{agent.agent_id}\0{digest}", subject)
        await approvals.open(Principal("", agent.tenant), opening)

    async def prepare(approval: Approval, by: Principal) -> Effect:
        check_person(by)
        agent_id, digest = str(approval.subject["agent_id"]), str(approval.subject["digest"])
        work = agents.looks.approval(by, agent_id, digest)

        def effect(connection: Connection) -> None:
            work(connection)
            agents.live.forget(by.tenant, agent_id)

        return effect

    def after(approval: Approval) -> None:
        agents.live.forget(approval.tenant, str(approval.subject["agent_id"]))

    agents.looks.ask = ask
    approvals.register(Kind(AGENT_CHANGE, prepare=prepare, after=after))
