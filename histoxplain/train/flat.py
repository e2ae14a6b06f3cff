"""A function of tensors and its gradient, traced to two flat lists of operations without autograd."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from histoxplain.ops import packed
from histoxplain.ops._library import kernels_are_there, kernels_in_the_open

aten = torch.ops.aten
IN_PLACE = {
    aten.add.Tensor: aten.add_.Tensor,
    aten.mul.Tensor: aten.mul_.Tensor,
    aten.mul.Scalar: aten.mul_.Scalar,
}


@dataclass(frozen=True)
class Flat:
    """A function and its gradient.

    Attributes:
        forward: `(*inputs, *constants) -> [y, *kept]`.
        backward: `[*kept, dy, *constants] -> gradients`; it empties its list, so that nothing is held for longer than
            it is used.
        constants: what the function used beside its inputs: the objects themselves, whose values may change.
        y: what the function returned, without values.
    """

    forward: Callable[..., list[Tensor]]
    backward: Callable[[list[Tensor]], list[Tensor | None]]
    constants: list[Tensor]
    y: Tensor

    def run(self, inputs: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The function's value, and what its gradient needs of it."""
        with torch._C._AutoDispatchBelowAutograd():
            y, *kept = self.forward(*inputs, *self.constants)
        return y, [x.detach() if x is y else x for x in kept]  # or its own graph would keep `y` alive

    def run_back(self, kept: list[Tensor], dy: Tensor) -> list[Tensor | None]:
        """The gradients; empties `kept`."""
        if dy.stride() != self.y.stride():
            dy = torch.empty_like(self.y, device=dy.device).copy_(dy)
        kept += [dy, *self.constants]
        with torch._C._AutoDispatchBelowAutograd():
            return self.backward(kept)


def flatten(function: Callable[..., Tensor], inputs: Sequence[Tensor], parameters: Sequence[Tensor] = ()) -> Flat:
    """Trace a function, and the gradients of those inputs and parameters that ask for them.

    Args:
        function: of tensors to a tensor; what it does may depend on their kinds, not on their values.
        inputs: arguments like those to come: of their shapes, types and strides, asking for gradients or not.
        parameters: tensors that it uses beside its inputs.

    Example:
        >>> flat = flatten(lambda x: 3 * x.square(), [torch.ones(1, requires_grad=True)])
        >>> y, kept = flat.run([torch.tensor([2.0])])
        >>> y.item(), flat.run_back(kept, torch.ones(1))[0].item()
        (12.0, 12.0)
    """
    y = function(*inputs).detach()

    def both(inputs: Sequence[Tensor], dy: Tensor) -> list[Tensor | None]:
        free = [x.detach().requires_grad_(x.requires_grad) for x in inputs]
        wanted = [x for x in (*free, *parameters) if x.requires_grad]
        y = function(*free)
        return [y, *(torch.autograd.grad(y, wanted, dy, allow_unused=True) if wanted and y.requires_grad else ())]

    with kernels_in_the_open():
        traced = make_fx(both)(list(inputs), torch.zeros_like(y))
    return _split(traced, torch.empty_like(y, device="meta"))


def _split(traced: fx.GraphModule, y: Tensor) -> Flat:
    for node in traced.graph.find_nodes(op="call_function", target=aten.detach.default):
        node.replace_all_uses_with(node.args[0])  # nothing is attached
        traced.graph.erase_node(node)
    traced.graph.eliminate_dead_code()  # gradients that nobody asked for; what is written in place stays
    _reuse(traced.graph)
    if kernels_are_there("cpu"):
        _add_on_the_way(traced.graph)
    nodes = list(traced.graph.nodes)
    *inputs, dy = (node for node in nodes if node.op == "placeholder")
    constants = [node for node in nodes if node.op == "get_attr"]
    ((value, *gradients),) = nodes[-1].args
    before = _what_makes(value) - {*inputs, *constants}
    after = {node for node in nodes if node.op == "call_function"} - before
    kept = [node for node in nodes if node in {*inputs, *before} and after & node.users.keys()]
    forward, backward = fx.Graph(), fx.Graph()
    has = {node: forward.placeholder(node.name) for node in (*inputs, *constants)}
    _copy(forward, (node for node in nodes if node in before), has)
    forward.output([has[value], *(has[node] for node in kept)])
    stack, has = backward.placeholder("stack"), {}
    for node in reversed((*kept, dy, *constants)):
        has[node] = backward.call_method("pop", (stack,))
    _copy(backward, (node for node in nodes if node in after), has)
    backward.output([None if node is None else has[node] for node in gradients])
    constants = [getattr(traced, node.target) for node in constants]
    return Flat(_compiled(forward), _compiled(backward), constants, y)


def _compiled(graph: fx.Graph) -> Callable[..., list[Tensor | None]]:
    """The list as Python runs it; the graph, hundreds of thousands of objects to the garbage collector, is let go."""
    module = fx.GraphModule(nn.Module(), graph)
    return partial(type(module).forward, None)


def _reuse(graph: fx.Graph) -> None:
    """Let sums and multiples overwrite a term that nothing else needs, as autograd's own sums do."""
    for node in graph.nodes:
        if node.target in IN_PLACE and _is_fresh(node.args[0]) and _kind(node.args[0]) == _kind(node):
            node.target = IN_PLACE[node.target]


def _add_on_the_way(graph: fx.Graph) -> None:
    """Let filtered images be added to others, where a network forks, on their way to memory."""
    filtered, added = torch.ops.histoxplain.upfirdn2d.default, torch.ops.histoxplain.upfirdn2d_add_.default
    for node in graph.find_nodes(op="call_function", target=aten.add_.Tensor):
        y, x = node.args
        alone = isinstance(x, fx.Node) and x.target is filtered and len(x.users) == 1 and not node.kwargs
        if alone and _kind(x) == _kind(y) and _kind(x)[0][1] % packed.CHANNELS == 0:
            with graph.inserting_before(node):
                graph.call_function(added, (y, *x.args))
            node.replace_all_uses_with(y)
            graph.erase_node(node)
            graph.erase_node(x)


def _is_fresh(node: object) -> bool:
    """Whether a value is used once and has memory of its own: no argument, constant or view."""
    if not isinstance(node, fx.Node) or node.op != "call_function":
        return False
    if sum(not _belongs(user, node) for user in node.users) > 1:
        return False
    if node.target is operator.getitem:
        node = node.args[0]
    return not any(argument.alias_info for argument in node.target._schema.returns)


def _kind(node: fx.Node) -> tuple[object, ...]:
    like = node.meta["tensor_meta"]
    return like.shape, like.dtype, like.stride


def _what_makes(value: fx.Node) -> set[fx.Node]:
    """All that a value is computed from, and what else comes with it or writes to it."""
    found, left = set(), [value]
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            left += [*node.all_input_nodes, *(user for user in node.users if _belongs(user, node))]
    return found


def _belongs(user: fx.Node, node: fx.Node) -> bool:
    """Whether `user` is one of several results of `node`, or changes it in place."""
    if user.target is operator.getitem:
        return True
    schema = getattr(user.target, "_schema", None)
    return schema is not None and any(
        argument.alias_info is not None and argument.alias_info.is_write and given is node
        for argument, given in zip(schema.arguments, user.args)
    )


def _copy(graph: fx.Graph, nodes: object, has: dict[fx.Node, fx.Node]) -> None:
    for node in nodes:
        has[node] = graph.node_copy(node, has.__getitem__)
